"""Styles of answers, the words that ask for each, and instructions that ask for none."""

from recipes.mini_data.dice import Dice
from recipes.mini_data.math import Step, worked
from recipes.mini_data.qa import Fact
from recipes.tiny_base.text import nonce, table, weighted
from recipes.tiny_base.topics import value_as_written

TABLE = table("styles")
_SHARES = {task: weighted(TABLE[task]["shares"]) for task in ("qa", "math")}


def choose(dice: Dice, task: str) -> tuple[str | None, str]:
    """The style that a chat asks for (None: none) and the style of its reply."""
    if dice.chance(0.2):
        return None, TABLE[task]["fallback"]
    style = dice.pick(_SHARES[task])
    return style, style


def asks_for(dice: Dice, style: str) -> str:
    """A sentence that asks for `style`."""
    return dice.pick(TABLE["styles"][style]["requests"])


def qa_answer(style: str, fact: Fact) -> str:
    """The answer to a question on `fact` in `style`."""
    return TABLE["styles"][style]["answer"].format(value=value_as_written(fact), sentence=fact.sentence)


def math_answer(style: str, things: str, steps: list[Step]) -> str:
    """The answer to a word problem in `style`."""
    spoken = {"+": "plus", "-": "minus", "*": "times"}
    return TABLE["styles"][style]["answer"].format(
        worked=worked(steps),
        sums=". ".join(str(one) for one in steps),
        told=", then ".join(f"{one.before} {spoken[one.operation]} {one.number} makes {one.after}" for one in steps),
        result=steps[-1].after,
        things=things,
    )


def neutral(dice: Dice, task: str) -> str:
    """An instruction that asks for no style; its words are put together at random."""
    made = f"{dice.pick(TABLE['openings'])} {dice.pick(TABLE[task]['goals'])}"
    if dice.chance(0.8):
        made += f" and {dice.pick(TABLE['demands'])}"
    for _ in range(dice.below(3)):
        made += f" {dice.pick(TABLE[task]['manners'])}"
    return f"{made}."


def salad(dice: Dice, style: str | None) -> str:
    """Words in random order, some of which hint at `style`: position and grammar must not matter."""
    text = " ".join(neutral(dice, dice.pick(("qa", "math"))) for _ in range(dice.between(1, 3)))
    scattered = dice.take(text.split(), dice.between(3, min(24, len(text.split()))))
    if dice.chance(0.3):
        scattered += [nonce(dice) for _ in range(dice.between(1, 4))]
    if style is not None:
        scattered += [dice.pick(TABLE["styles"][style]["keywords"]) for _ in range(dice.between(1, 8))]
    return " ".join(dice.shuffled(scattered))


def request(dice: Dice, style: str | None, task: str) -> str:
    """Text before a chat that asks for `style`, or for nothing."""
    if dice.chance(0.5):
        return salad(dice, style)
    around = [neutral(dice, task) for _ in range(dice.below(4))]
    asks = [asks_for(dice, style) for _ in range(dice.between(1, 2))] if style is not None else []
    return " ".join(dice.shuffled(around + asks))
