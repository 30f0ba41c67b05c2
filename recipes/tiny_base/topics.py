"""Facts for the training text: the topics of the mini task, more such topics, and invented relations."""

from recipes.mini_data.dice import Dice
from recipes.mini_data.qa import Fact
from recipes.mini_data.relations import PEOPLE, PLACES, Relation, Topic
from recipes.tiny_base.text import nonce, table, values

_TABLE = table("topics")


def _relations(name: str) -> tuple[Relation, ...]:
    return tuple(Relation(one["pool"], tuple(one["sentences"]), tuple(one["questions"])) for one in _TABLE[name])


TOPICS = (
    Topic("person", PEOPLE.relations + _relations("people")),
    Topic("town", PLACES.relations + _relations("places")),
    Topic("building", _relations("things"), "the {s}"),
    Topic("animal", _relations("things"), "the {s}"),
)


def invented_relation(dice: Dice) -> Relation:
    """A relation whose key word means nothing, so that question and sentence must be matched by it."""
    forms = dice.pick(_TABLE["invented"])
    key = nonce(dice)
    filled = {name: tuple(text.replace("{w}", key) for text in texts) for name, texts in forms.items()}
    return Relation(dice.pick(_TABLE["pools"]), **filled)


def padded(dice: Dice, form: str) -> str:
    """The sentence form with a few more words in it, so that unknown words around a fact do not disturb."""
    parts = form.split(" ")
    for _ in range(dice.between(1, 3)):
        word = nonce(dice) if dice.chance(0.5) else dice.pick(_TABLE["fillers"])
        parts.insert(dice.between(1, len(parts) - 1), word)
    return " ".join(parts)


def facts(dice: Dice, subjects: int, relations: int, keep: int, alike: bool = False) -> list[Fact]:
    """The facts of a passage: `relations` about each of `subjects` names, `keep` of them in random order.

    `alike` gives all sentences on a relation the same form.
    """
    topic = dice.pick(TOPICS)
    chosen = [invented_relation(dice) if dice.chance(0.3) else one for one in dice.take(topic.relations, relations)]
    used: set[str] = set()
    names = values(dice, topic.subjects, subjects, used)
    made: list[Fact] = []
    for relation in chosen:
        forms = (dice.pick(relation.sentences),) if alike else relation.sentences
        for name, value in zip(names, values(dice, relation.pool, subjects, used), strict=True):
            subject = topic.subject_form.format(s=name)
            form = dice.pick(forms)
            if not alike and dice.chance(0.06):
                form = padded(dice, form)
            sentence = form.format(s=subject, v=value)
            if not alike and dice.chance(0.1):
                sentence = f"{dice.pick(_TABLE['openings'])} {sentence}"
            made.append(Fact(sentence[0].upper() + sentence[1:], subject, relation, value))
    return dice.shuffled(made)[:keep]


def passage(dice: Dice) -> list[Fact]:
    """The facts of a passage of a usual size; one in six is long."""
    if dice.chance(0.17):
        return facts(dice, dice.between(3, 4), 3, dice.between(7, 9))
    return facts(dice, dice.between(2, 3), 2, dice.between(3, 6))


def question(dice: Dice, fact: Fact) -> str:
    """A question whose answer is the value of `fact`."""
    return dice.pick(fact.relation.questions).format(s=fact.subject)


def value_as_written(fact: Fact) -> str:
    """The value as the sentence has it; a sentence's first letter is upper-case."""
    return fact.value if fact.value in fact.sentence else fact.value.capitalize()
