"""A control for routing: kinds of question that share one instruction and need answers in different styles.

The tasks are `mixed` (two kinds) and `mixed4` (four), each with the folders `train`, `in_domain` and `out_of_domain`,
one file per kind; the file's name is the data set, and so the true kind.

The tiny base answers in several styles (recipes/tiny_base/styles.py) when words before the text ask for one. Here the
topic of the question decides the style; no instruction names the topic, and the base never learnt to act on it. A
single soft prompt asks for one style, so it is right on one kind. As many prompts as kinds, under a router that knows
the topic, are right on all. The question alone shows the topic.
"""

from __future__ import annotations

from dataclasses import dataclass

from recipes.mini_data.dice import Dice
from recipes.mini_data.qa import LONG, SHORT, Fact, Shape, passage, passage_text
from recipes.mini_data.records import Record, distinct
from recipes.mini_data.relations import LONGER_PEOPLE, PEOPLE, PLACES, Relation, Topic
from recipes.mini_data.words import TEST, TRAIN
from recipes.tiny_base.styles import qa_answer

# Half of the sentences of a far topic are those of its near one; all of the questions are new.
FAR_PLACES = Topic(
    "town",
    (
        Relation(
            "river",
            ("{s} lies on the river {v}.", "Since last year {s} lies on the banks of the {v}."),
            ("Which river does {s} lie on?", "By which river does {s} stand?"),
        ),
        Relation(
            "year",
            ("{s} was founded in {v}.", "{s} was founded on a Sunday in {v}."),
            ("What is the year in which {s} was founded?", "In what year was {s} built?"),
        ),
        Relation(
            "person",
            ("The mayor of {s} is {v}.", "The new mayor of {s} is called {v}."),
            ("Which mayor does {s} have?", "Who is called mayor of {s}?"),
        ),
        Relation(
            "product",
            ("{s} is known for its {v}.", "More than all the others {s} is known for {v}."),
            ("For what is {s} known?", "Which product does {s} make?"),
        ),
        Relation(
            "building",
            ("{s} has an old {v}.", "{s} has had an old {v} for many years."),
            ("What old building does {s} have?", "Where do people go who visit {s}?"),
        ),
    ),
)
BUILDINGS = Topic(
    "building",
    (
        Relation("person", ("{s} was drawn by {v}.", "{s} comes from the hand of {v}."), ("Who drew {s}?",)),
        Relation("year", ("{s} was lost in {v}.", "{s} was missing from {v}."), ("In which year was {s} lost?",)),
        Relation("product", ("{s} smells of {v}.", "{s} is covered with {v}."), ("What does {s} smell of?",)),
        Relation("animal", ("{s} looks like a {v}.", "{s} was taken for a {v}."), ("What does {s} look like?",)),
    ),
    "the {s}",
)
FAR_BUILDINGS = Topic(
    "building",
    (
        Relation("person", ("{s} was drawn by {v}.", "{s} was drawn at home by {v}."), ("By whom was {s} drawn?",)),
        Relation("year", ("{s} was lost in {v}.", "{s} was lost on a Sunday in {v}."), ("When was {s} lost?",)),
        Relation("product", ("{s} smells of {v}.", "{s} always smells of {v}."), ("Of what does {s} smell?",)),
        Relation("animal", ("{s} looks like a {v}.", "Now {s} looks like a {v}."), ("Like what does {s} look?",)),
    ),
    "the {s}",
)
ANIMALS = Topic(
    "animal",
    (
        Relation("person", ("{s} was sold to {v}.", "{s} went to {v}."), ("Who bought {s}?", "To whom was {s} sold?")),
        Relation("town", ("{s} was found in {v}.", "{s} turned up in {v}."), ("Where was {s} found?",)),
        Relation("building", ("{s} can be seen in the {v}.", "{s} is now in the {v}."), ("Where can {s} be seen?",)),
        Relation("person", ("{s} is owned by {v}.", "The owner of {s} is {v}."), ("Who owns {s}?", "Who has {s}?")),
    ),
    "the {s}",
)
FAR_ANIMALS = Topic(
    "animal",
    (
        Relation("person", ("{s} was sold to {v}.", "{s} was sold at the fair to {v}."), ("Who got {s} when sold?",)),
        Relation(
            "town", ("{s} was found in {v}.", "{s} was found far away in {v}."), ("In which town was {s} found?",)
        ),
        Relation("building", ("{s} can be seen in the {v}.", "{s} can still be seen in the {v}."), ("Where is {s}?",)),
        Relation("person", ("{s} is owned by {v}.", "The new owner of {s} is {v}."), ("Who is the owner of {s}?",)),
    ),
    "the {s}",
)


@dataclass(frozen=True)
class Kind:
    """What is asked, and the style (recipes/tiny_base/styles.py) that an answer must have."""

    name: str
    style: str
    near: Topic
    far: Topic


KINDS = (
    Kind("people", "short", PEOPLE, LONGER_PEOPLE),
    Kind("places", "opinion", PLACES, FAR_PLACES),
    Kind("buildings", "quote", BUILDINGS, FAR_BUILDINGS),
    Kind("animals", "sentence", ANIMALS, FAR_ANIMALS),
)
TASKS = {"mixed": KINDS[:2], "mixed4": KINDS}


def record(dice: Dice, kind: Kind, facts: list[Fact], asked: Fact, name: str, group: str) -> Record:
    """The question on `asked`; its one right answer is in the style of its kind."""
    answer = qa_answer(kind.style, asked)
    question = dice.pick(asked.relation.questions).format(s=asked.subject)
    rest = {"context": passage_text(facts), "question": question, "answers": [answer], "target": answer}
    return {"id": name, **rest, "group": group}


def questions(seed: int, kind: Kind, topic: Topic, shape: Shape, part: str, label: str, count: int) -> list[Record]:
    """`count` questions of a kind, two a passage; `part` says which half of the words."""
    dice = Dice(f"mixed/{label}/{seed}")

    def pair(number: int) -> list[Record]:
        facts = passage(dice, topic, shape, part)
        names = [f"{label}-{number + place}" for place in range(2)]
        asked = dice.take(facts, 2)
        return [record(dice, kind, facts, fact, name, names[0]) for fact, name in zip(asked, names, strict=True)]

    return distinct(count, pair)


def generate(task: str, seed: int, train: int, test: int) -> dict[str, list[Record]]:
    """File name -> records: `train` rows over all kinds together, `test` rows of each kind in and out of domain."""
    files: dict[str, list[Record]] = {}
    kinds = TASKS[task]
    for kind in kinds:
        name = kind.name
        near = questions(seed, kind, kind.near, SHORT, TRAIN, f"{name}-train", train // len(kinds))
        files[f"train/{name}"] = near
        files[f"in_domain/{name}"] = questions(seed, kind, kind.near, SHORT, TEST, f"{name}-near", test)
        files[f"out_of_domain/{name}_far"] = questions(seed, kind, kind.far, LONG, TEST, f"{name}-far", test)
    return files
