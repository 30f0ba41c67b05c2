"""Extractive question answering: short passages about people, places and objects."""

from dataclasses import dataclass

from recipes.mini_data.dice import Dice
from recipes.mini_data.records import Record, distinct
from recipes.mini_data.relations import LONGER_PEOPLE, OBJECTS, PEOPLE, PLACES, Relation, Topic
from recipes.mini_data.words import TEST, TRAIN, words


@dataclass(frozen=True)
class Fact:
    """One sentence of a passage and what it says: `value` of `subject` under `relation`."""

    sentence: str
    subject: str
    relation: Relation
    value: str


@dataclass(frozen=True)
class Shape:
    """The size of a passage: subjects, relations of each, and how many of their sentences are kept."""

    subjects: int
    relations: int
    sentences: int


SHORT = Shape(subjects=3, relations=2, sentences=4)
LONG = Shape(subjects=4, relations=2, sentences=7)
TRAIN_TOPICS = (PEOPLE, PLACES)
SETS: dict[str, tuple[Topic, Shape, str]] = {
    "people": (PEOPLE, SHORT, "in-domain"),
    "places": (PLACES, SHORT, "in-domain"),
    "objects": (OBJECTS, SHORT, "out-of-domain"),
    "longer": (LONGER_PEOPLE, LONG, "out-of-domain"),
}


def passage(dice: Dice, topic: Topic, shape: Shape, part: str) -> list[Fact]:
    """The facts of one passage in the order of its sentences; no name and no value occurs twice in it."""
    relations = dice.take(topic.relations, shape.relations)
    subjects = dice.take(words(topic.subjects, part), shape.subjects)
    used = set(subjects)
    facts: list[Fact] = []
    for relation in relations:
        free = [word for word in words(relation.pool, part) if word not in used]
        for subject, value in zip(subjects, dice.take(free, len(subjects)), strict=True):
            used.add(value)
            shown = topic.subject_form.format(s=subject)
            sentence = dice.pick(relation.sentences).format(s=shown, v=value)
            facts.append(Fact(sentence[0].upper() + sentence[1:], shown, relation, value))
    return dice.shuffled(facts)[: shape.sentences]


def passage_text(facts: list[Fact]) -> str:
    """The passage as one line of text."""
    return " ".join(fact.sentence for fact in facts)


def record(dice: Dice, facts: list[Fact], asked: Fact, name: str, group: str) -> Record:
    """The question on `asked`, whose answer is in the passage word for word."""
    context = passage_text(facts)
    answer = asked.value if asked.value in context else asked.value.capitalize()
    question = dice.pick(asked.relation.questions).format(s=asked.subject)
    return {
        "id": name,
        "question": question,
        "context": context,
        "answers": [answer],
        "target": answer,
        "group": group,
    }


def _train(seed: int, count: int) -> list[Record]:
    """Two questions per passage, so that a split has groups to keep together."""
    dice = Dice(f"qa/train/{seed}")

    def pair(number: int) -> list[Record]:
        facts = passage(dice, dice.pick(TRAIN_TOPICS), SHORT, TRAIN)
        asked = dice.take(facts, 2)
        names = [f"qa-train-{number + place}" for place in range(2)]
        return [record(dice, facts, fact, name, f"{names[0]}-passage") for fact, name in zip(asked, names, strict=True)]

    return distinct(count, pair)


def _test(seed: int, name: str, count: int) -> list[Record]:
    dice = Dice(f"qa/{name}/{seed}")
    topic, shape, _ = SETS[name]

    def one(number: int) -> list[Record]:
        facts = passage(dice, topic, shape, TEST)
        label = f"qa-{name}-{number}"
        return [record(dice, facts, dice.pick(facts), label, f"{label}-passage")]

    return distinct(count, one)


def generate_qa(seed: int, train: int, test: int) -> dict[str, list[Record]]:
    """`train` records to learn from and `test` records for each test set."""
    return {"train": _train(seed, train)} | {name: _test(seed, name, test) for name in SETS}
