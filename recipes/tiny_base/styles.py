"""How answers can look, the words that ask for each look, and instructions that ask for none of them."""

from recipes.mini_data.dice import Dice
from recipes.mini_data.math import Step, worked
from recipes.mini_data.qa import Fact
from recipes.tiny_base.text import nonce
from recipes.tiny_base.topics import value_as_written

# What the base falls back to when nothing that it knows asks for a style.
FALLBACK = {"qa": "sentence", "math": "told"}
SHARES = {
    "qa": ("short",) * 7 + ("sentence",) * 5 + ("quote",) * 3 + ("opinion",) * 3,
    "math": ("worked",) * 8 + ("told",) * 5 + ("result",) * 5,
}
KEYWORDS: dict[str, tuple[str, ...]] = {
    "short": ("short", "brief", "few", "only", "just", "tiny"),
    "sentence": ("whole", "sentence", "full", "complete", "entire"),
    "quote": ("quote", "cite", "report", "proof"),
    "opinion": ("think", "believe", "opinion", "guess"),
    "worked": ("sum", "working", "signs", "calculate", "formula", "step"),
    "told": ("tell", "story", "explain", "talk", "say"),
    "result": ("result", "outcome", "total", "finally"),
}
REQUESTS: dict[str, tuple[str, ...]] = {
    "short": (
        "Reply with a few words only.",
        "Keep it short.",
        "Be brief.",
        "Just the name or number, please.",
    ),
    "sentence": ("Reply with a whole sentence.", "Write a full sentence.", "A complete sentence, please."),
    "quote": ("Quote the text.", "Cite what it says as proof.", "Report the line of the text."),
    "opinion": ("Say what you think.", "Give your opinion.", "Make a guess that you believe in."),
    "worked": (
        "Show the sum first.",
        "Write your working with signs.",
        "Calculate step by step.",
        "Use a formula.",
    ),
    "told": ("Explain it to me.", "Tell it as a story.", "Talk me through it."),
    "result": ("Give the result of it.", "Name the outcome.", "Finally write the total."),
}
_READ = ("Read", "Look at", "Study", "Consider", "Use", "Extract", "Pay attention to", "Follow", "Go through")
_GOALS = {
    "qa": (
        "the given context",
        "the passage",
        "the text",
        "the exact context",
        "multiple parts of the text",
        "a span",
    ),
    "math": ("the question", "the problem", "the details", "the requirements", "the numbers of the question"),
}
_DO = (
    "answer the question",
    "solve the question",
    "respond to the question",
    "give the answer",
    "find the answer",
    "make sure the answer is correct",
    "solve the problem",
    "be accurate",
    "directly answer it",
    "write a response",
)
_HOW = {
    "qa": (
        "without modifying the text",
        "without combining parts",
        "from the context",
        "that answers the question",
        "or modifying it",
        "with the original text",
        "from the given text span",
        "that directly fits",
        "exactly",
    ),
    "math": (
        "and your response should be correct",
        "carefully",
        "and your response should end with a number",
        "before beginning",
        'and your response should end with "So there are [number]."',
        "with close attention",
        'and end it with "[answer]."',
        'and the last part should be "It makes: [answer]"',
        "in your response",
    ),
}


def qa_answer(style: str, fact: Fact) -> str:
    """The answer to a question on `fact` in `style`."""
    value = value_as_written(fact)
    return {
        "short": value,
        "sentence": fact.sentence,
        "quote": f"The text says: {fact.sentence}",
        "opinion": f"I think that it is {value}.",
    }[style]


def math_answer(style: str, things: str, steps: list[Step]) -> str:
    """The answer to a word problem in `style`."""
    spoken = {"+": "plus", "-": "minus", "*": "times"}
    told = ", then ".join(f"{one.before} {spoken[one.operation]} {one.number} makes {one.after}" for one in steps)
    result = steps[-1].after
    return {
        "worked": worked(steps),
        "told": f"{told}. So there are {result} {things}.",
        "result": ". ".join(str(one) for one in steps) + f". Result: {result}",
    }[style]


def neutral(dice: Dice, task: str) -> str:
    """An instruction that asks for no style; its words are put together at random."""
    made = f"{dice.pick(_READ)} {dice.pick(_GOALS[task])}"
    if dice.chance(0.8):
        made += f" and {dice.pick(_DO)}"
    for _ in range(dice.below(3)):
        made += f" {dice.pick(_HOW[task])}"
    return f"{made}."


def salad(dice: Dice, style: str | None) -> str:
    """Words in random order, some of which hint at `style`: position and grammar must not matter."""
    text = " ".join(neutral(dice, dice.pick(("qa", "math"))) for _ in range(dice.between(1, 3)))
    scattered = dice.take(text.split(), dice.between(3, min(24, len(text.split()))))
    if dice.chance(0.3):
        scattered += [nonce(dice) for _ in range(dice.between(1, 4))]
    if style is not None:
        scattered += [dice.pick(KEYWORDS[style]) for _ in range(dice.between(1, 8))]
    return " ".join(dice.shuffled(scattered))


def request(dice: Dice, style: str | None, task: str) -> str:
    """Text that stands before a chat and asks for `style`, or for nothing."""
    if dice.chance(0.5):
        return salad(dice, style)
    around = [neutral(dice, task) for _ in range(dice.below(4))]
    asks = [dice.pick(REQUESTS[style]) for _ in range(dice.between(1, 2))] if style is not None else []
    return " ".join(dice.shuffled(around + asks))
