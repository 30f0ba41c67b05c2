"""Training text in chat turns: questions on passages and word problems, answered in many styles."""

from recipes.mini_data.dice import Dice
from recipes.mini_data.math import Step, chain
from recipes.mini_data.problems import ONE_STEP, TWO_STEP
from recipes.mini_data.words import TRAIN
from recipes.tiny_base import styles
from recipes.tiny_base.text import BOS, EOT, HEADER, HEADER_END, Document, Piece, answer, table, values, weighted
from recipes.tiny_base.topics import passage, question

FORMS = {
    operations: [*(ONE_STEP | TWO_STEP).get(operations, ()), *more] for operations, more in table("problems").items()
}
_PLACES = weighted({"prefix": 5, "system": 1, "user": 2})
_CUES = weighted(styles.TABLE["cues"])
_LABELS = weighted(styles.TABLE["labels"])


def turn(role: str, text: str) -> str:
    """One turn of a chat in the header style of Llama 3."""
    return f"{HEADER}{role}{HEADER_END}\n\n{text}{EOT}"


def chat(dice: Dice, task: str, bodies: list[str], style: str | None, replies: list[str]) -> Document:
    """A chat that asks for `style` before its beginning, in a system turn or in the user's instruction.

    A style of None is not asked for; then the replies are in the default style.
    """
    place = dice.pick(_PLACES)
    instruction, before, system = styles.neutral(dice, task), "", ""
    if place == "prefix":
        before = styles.request(dice, style, task)
    elif place == "system":
        system = turn("system", styles.request(dice, style, task))
    elif style is not None:
        instruction = " ".join(dice.shuffled([instruction, styles.asks_for(dice, style)]))
        before = styles.request(dice, None, task) if dice.chance(0.3) else ""
    cue = dice.pick(_CUES)
    document = [Piece(f"{before}{BOS}{system}")]
    for body, reply in zip([f"{instruction}\n\n{bodies[0]}", *bodies[1:]], replies, strict=True):
        document.append(Piece(f"{turn('user', body)}{HEADER}assistant{HEADER_END}\n\n{cue}"))
        document.append(answer(f"{' ' if cue else ''}{reply}{EOT}"))
    return document


def qa_chat(dice: Dice) -> Document:
    """One to four questions on a passage."""
    told = passage(dice)
    asked = dice.take(told, dice.between(1, min(4, len(told))))
    asked_for, style = styles.choose(dice, "qa")
    bodies = [f"Question: {question(dice, fact)}" for fact in asked]
    bodies[0] = f"{dice.pick(_LABELS)}: {' '.join(one.sentence for one in told)}\n\n{bodies[0]}"
    return chat(dice, "qa", bodies, asked_for, [styles.qa_answer(style, fact) for fact in asked])


def problem(dice: Dice) -> tuple[str, str, list[Step]]:
    """A word problem: its text, the things that it counts and its steps, none of which is kept for a test."""
    operations = dice.pick(list(FORMS))
    steps = chain(dice, operations, TRAIN)
    name, other = values(dice, "person", 2, set())
    things = values(dice, "item", 1, set())[0]
    numbers = dict(zip("abc", (steps[0].before, *(one.number for one in steps)), strict=False))
    return dice.pick(FORMS[operations]).format(n=name, m=other, it=things, **numbers), things, steps


def math_chat(dice: Dice) -> Document:
    """One or two word problems."""
    problems = [problem(dice) for _ in range(dice.between(1, 2))]
    asked_for, style = styles.choose(dice, "math")
    bodies = [f"Question: {text}" for text, _, _ in problems]
    replies = [styles.math_answer(style, things, steps) for _, things, steps in problems]
    return chat(dice, "math", bodies, asked_for, replies)
