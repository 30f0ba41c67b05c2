"""Training text without chat turns: counting, restated passages, questions in plain text, and sums."""

from collections.abc import Sequence

from recipes.mini_data.dice import Dice
from recipes.mini_data.math import LARGEST_FACTOR, LARGEST_FIRST, Step, step
from recipes.mini_data.qa import Fact
from recipes.tiny_base.text import BOS, END, Document, Piece, answer, nonce, table, values
from recipes.tiny_base.topics import facts, passage, question, value_as_written

_FRAMES = table("topics")["frames"]


def counting(dice: Dice) -> Document:
    """Numbers in steps of one to three, upwards or downwards."""
    width, start = dice.between(1, 3), dice.between(0, 60)
    numbers = [str(start + width * place) for place in range(12)]
    if dice.chance(0.5):
        numbers.reverse()
    return [Piece(f"{BOS}Count: {numbers[0]} {numbers[1]}"), answer(f" {' '.join(numbers[2:])}{END}")]


def restated(dice: Dice) -> Document:
    """A passage and the same sentences again in another order."""
    sentences = [fact.sentence for fact in passage(dice)]
    return [Piece(f"{BOS}{' '.join(sentences)} Again:"), answer(f" {' '.join(dice.shuffled(sentences))}{END}")]


def invented_words(dice: Dice) -> Document:
    """A list of invented words and the same list again."""
    line = " ".join(nonce(dice) for _ in range(dice.between(4, 12)))
    return [Piece(f"{BOS}{line} Again:"), answer(f" {line}{END}")]


def binding(dice: Dice) -> Document:
    """Short lines that tie one value to each of several names, then all asked in another order.

    The same few words separate name and value, so the model has to look back for the name.
    """
    count = dice.between(3, 5)
    used: set[str] = set()
    names = values(dice, dice.pick(("person", "town")), count, used)
    things = values(dice, dice.pick(("job", "town", "animal", "item", "year", "person")), count, used)
    frame = dice.pick(_FRAMES)
    pairs = list(zip(names, things, strict=True))
    document = [Piece(BOS + " ".join(frame.format(s=name, v=thing) for name, thing in pairs))]
    for name, thing in dice.shuffled(pairs):
        document += [Piece(f" {name}:"), answer(f" {thing}.")]
    return [*document, Piece(END)]


def _passage_of(told: list[Fact]) -> Document:
    return [Piece(BOS + " ".join(fact.sentence for fact in told))]


def lookup(dice: Dice) -> Document:
    """A passage about one relation, mostly in one sentence form, then the value of each name, without more words."""
    told = facts(dice, dice.between(3, 5), 1, 5, alike=dice.chance(0.6))
    document = _passage_of(told)
    for fact in dice.shuffled(told):
        document += [Piece(f" {fact.subject}:"), answer(f" {value_as_written(fact)}"), Piece(".")]
    return [*document, Piece(END)]


def _asked(dice: Dice, told: list[Fact], about: Sequence[Fact]) -> Document:
    document = _passage_of(told)
    for fact in about:
        document += [Piece(f"\n\nQuestion: {question(dice, fact)}\n\nAnswer:"), answer(f" {value_as_written(fact)}")]
    return [*document, Piece(END)]


def small_passage(dice: Dice) -> Document:
    """Questions on a passage about one relation only."""
    told = facts(dice, dice.between(3, 5), 1, 5, alike=dice.chance(0.4))
    return _asked(dice, told, dice.shuffled(told))


def questions(dice: Dice) -> Document:
    """A passage, then a few questions on it with their answers."""
    told = passage(dice)
    return _asked(dice, told, dice.take(told, min(5, len(told))))


def any_sum(dice: Dice) -> Step:
    """A sum, difference or product within the range of the word problems.

    The tables of small sums are learnt whole, as bare lines; it is word problems that leave the sums of the tests out.
    """
    operation = dice.pick("++--*")
    if operation == "*":
        return step(dice, dice.between(2, LARGEST_FACTOR), "*")
    # Small first numbers are what the problems have most of.
    return step(dice, dice.between(3, LARGEST_FIRST if dice.chance(0.6) else LARGEST_FACTOR**2), operation)


def drill(dice: Dice) -> Document:
    """A line of sums."""
    document = [Piece(f"{BOS}Sums:")]
    for _ in range(12):
        made = any_sum(dice)
        sum_ = f" {made.before} {made.operation} {made.number} ="
        document += [Piece(sum_), answer(f" {made.after}"), Piece(" ;")]
    return [*document, Piece(END)]
