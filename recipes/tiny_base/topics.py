"""Facts for the training text: the topics of the mini task, more such topics, and invented relations."""

from recipes.mini_data.dice import Dice
from recipes.mini_data.qa import Fact
from recipes.mini_data.relations import PEOPLE, PLACES, Relation, Topic
from recipes.tiny_base.text import nonce, values

# The subject comes before the value throughout: looking ahead is a skill that a model of this size learns slowly.
_MORE_PEOPLE = (
    Relation("product", ("{s} sells {v} at the fair.", "{s} trades in {v}."), ("What does {s} sell?",)),
    Relation("town", ("{s} comes from {v}.", "{s} went to school in {v}."), ("Where did {s} go to school?",)),
    Relation("person", ("{s} learned everything from {v}.", "{s} was taught by {v}."), ("Who taught {s}?",)),
    Relation("person", ("{s} is married to {v}.", "{s} got a ring from {v}."), ("Who is married to {s}?",)),
    Relation("year", ("{s} retired in {v}.", "The last year of work of {s} was {v}."), ("When did {s} retire?",)),
    Relation("river", ("{s} swims in the river {v}.", "{s} fell into the {v}."), ("In which river was {s}?",)),
    Relation("building", ("{s} looks after the {v}.", "{s} sleeps in the {v}."), ("Where does {s} sleep?",)),
    Relation("item", ("{s} collects {v}.", "The shelves of {s} are full of {v}."), ("What does {s} collect?",)),
)
_MORE_PLACES = (
    Relation("person", ("{s} had a king called {v}.", "The king of {s} was {v}."), ("Who was king of {s}?",)),
    Relation("town", ("A road goes from {s} to {v}.", "{s} is close to {v}."), ("Which town is close to {s}?",)),
    Relation("animal", ("The flag of {s} shows a {v}.", "{s} has a {v} as its sign."), ("What does {s} show?",)),
    Relation("hobby", ("The children of {s} love {v}.", "{s} is a good place for {v}."), ("What is {s} good for?",)),
)
_THINGS = (
    Relation("person", ("{s} was drawn by {v}.", "{s} comes from the hand of {v}."), ("Who drew {s}?",)),
    Relation("person", ("{s} was sold to {v}.", "{s} went to {v}."), ("Who bought {s}?", "To whom was {s} sold?")),
    Relation("town", ("{s} was found in {v}.", "{s} turned up in {v}."), ("Where was {s} found?",)),
    Relation("year", ("{s} was lost in {v}.", "{s} was missing from {v}."), ("In which year was {s} lost?",)),
    Relation("building", ("{s} can be seen in the {v}.", "{s} is now in the {v}."), ("Where can {s} be seen?",)),
    Relation("product", ("{s} smells of {v}.", "{s} is covered with {v}."), ("What does {s} smell of?",)),
    Relation("animal", ("{s} looks like a {v}.", "{s} was taken for a {v}."), ("What does {s} look like?",)),
    Relation("person", ("{s} is owned by {v}.", "The owner of {s} is {v}."), ("Who owns {s}?", "Who has {s}?")),
)
TOPICS = (
    Topic("person", PEOPLE.relations + _MORE_PEOPLE),
    Topic("town", PLACES.relations + _MORE_PLACES),
    Topic("building", _THINGS, "the {s}"),
    Topic("animal", _THINGS, "the {s}"),
)
_OPENINGS = (
    "As people say,",
    "Last year",
    "In the end",
    "Some time ago",
    "After the rain",
    "Every now and then",
)
_FILLERS = (
    "now",
    "still",
    "not",
    "far",
    "just",
    "very",
    "old",
    "new",
    "long",
    "fine",
    "small",
    "great",
    "good",
    "first",
    "for",
    "with",
    "from",
    "that",
    "of",
    "a",
    "at",
)
_INVENTED = (
    (("The {w} of {s} is {v}.", "{s} has {v} as {w}."), ("What is the {w} of {s}?",)),
    (("{s} was {w}ed by {v}.", "{s} got {w}ed by {v}."), ("Who {w}ed {s}?", "By whom was {s} {w}ed?")),
    (("{s} {w}s the {v}.", "{s} often {w}s the {v}."), ("What does {s} {w}?",)),
    (("{s} is {w}ing in {v}.", "The {w} of {s} is in {v}."), ("Where is {s} {w}ing?", "Where is the {w} of {s}?")),
)
_POOLS = ("job", "town", "year", "animal", "hobby", "person", "river", "product", "building", "item")


def invented_relation(dice: Dice) -> Relation:
    """A relation whose key word means nothing, so that question and sentence must be matched by it."""
    sentences, questions = dice.pick(_INVENTED)
    key = nonce(dice)

    def fill(forms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(form.replace("{w}", key) for form in forms)

    return Relation(dice.pick(_POOLS), fill(sentences), fill(questions))


def padded(dice: Dice, form: str) -> str:
    """The sentence form with a few more words in it, so that unknown words around a fact do not disturb."""
    parts = form.split(" ")
    for _ in range(dice.between(1, 3)):
        word = nonce(dice) if dice.chance(0.5) else dice.pick(_FILLERS)
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
                sentence = f"{dice.pick(_OPENINGS)} {sentence}"
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
    """The value as it stands in the sentence, whose first letter is large."""
    return fact.value if fact.value in fact.sentence else fact.value.capitalize()
