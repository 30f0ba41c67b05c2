"""Extractive question answering: short passages about people, places and objects."""

from dataclasses import dataclass

from ptmoe.data.mini.dice import Dice
from ptmoe.data.mini.relations import LONGER_PEOPLE, OBJECTS, PEOPLE, PLACES, Relation, Topic
from ptmoe.data.mini.words import TEST, TRAIN, words

Record = dict[str, object]


@dataclass(frozen=True)
class Fact:
    """One sentence of a passage and what it says: `value` of `subject` under `relation`."""

    sentence: str
    subject: str
    relation: Relation
    value: str


@dataclass(frozen=True)
class Shape:
    """How large a passage is: so many subjects, each with so many relations, of which some sentences are kept."""

    subjects: int
    relations: int
    sentences: int


SHORT = Shape(subjects=3, relations=2, sentences=5)
LONG = Shape(subjects=4, relations=3, sentences=9)
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
    """The question on `asked`, whose answer stands in the passage word for word."""
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


def _train(dice: Dice, count: int) -> list[Record]:
    """Two questions a passage, so that a split has groups to keep together."""
    records: list[Record] = []
    while len(records) < count:
        facts = passage(dice, dice.pick(TRAIN_TOPICS), SHORT, TRAIN)
        group = f"qa-train-passage-{len(records) // 2}"
        for asked in dice.take(facts, 2):
            records.append(record(dice, facts, asked, f"qa-train-{len(records)}", group))
    return records[:count]


def _test(dice: Dice, name: str, count: int) -> list[Record]:
    topic, shape, _ = SETS[name]
    records: list[Record] = []
    for number in range(count):
        facts = passage(dice, topic, shape, TEST)
        label = f"qa-{name}-{number}"
        records.append(record(dice, facts, dice.pick(facts), label, f"{label}-passage"))
    return records


def generate_qa(seed: int, train: int, test: int) -> dict[str, list[Record]]:
    """`train` records to learn from and `test` records for each test set."""
    made = {"train": _train(Dice(f"qa/train/{seed}"), train)}
    for name in SETS:
        made[name] = _test(Dice(f"qa/{name}/{seed}"), name, test)
    return made
