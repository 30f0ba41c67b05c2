"""Word problems with small whole numbers and their worked solutions."""

from dataclasses import dataclass
from zlib import crc32

from recipes.mini_data.dice import Dice
from recipes.mini_data.problems import MULTIPLICATION, ONE_STEP, REPHRASED, TWO_STEP
from recipes.mini_data.records import Record, distinct
from recipes.mini_data.words import TEST, TRAIN, words

Forms = dict[str, tuple[str, ...]]

LARGEST_FIRST = 20
LARGEST_NEXT = 12
LARGEST_FACTOR = 6
HELD_OUT_MODULUS = 6
SETS: dict[str, tuple[Forms, str]] = {
    "addition_subtraction": (ONE_STEP, "in-domain"),
    "two_step": (TWO_STEP, "in-domain"),
    "rephrased": (REPHRASED, "out-of-domain"),
    "multiplication": (MULTIPLICATION, "out-of-domain"),
}


@dataclass(frozen=True)
class Step:
    """One calculation, such as 12 + 5 = 17."""

    before: int
    operation: str
    number: int
    after: int

    def __str__(self) -> str:
        return f"{self.before} {self.operation} {self.number} = {self.after}"

    def held_out(self) -> bool:
        """Whether only the tests may use it: one addition or subtraction in six, and no product."""
        key = f"{self.before} {self.operation} {self.number}"
        return self.operation != "*" and crc32(key.encode()) % HELD_OUT_MODULUS == 0


def step(dice: Dice, before: int, operation: str) -> Step:
    """A random step from `before`; a subtraction leaves at least 1. Needs `before` >= 3 for "-"."""
    if operation == "+":
        number = dice.between(2, LARGEST_NEXT)
        return Step(before, operation, number, before + number)
    if operation == "-":
        number = dice.between(2, min(LARGEST_NEXT, before - 1))
        return Step(before, operation, number, before - number)
    number = dice.between(2, LARGEST_FACTOR)
    return Step(before, operation, number, before * number)


def chain(dice: Dice, operations: str, part: str) -> list[Step]:
    """Steps from left to right: "train" has no held-out step, "test" has at least one."""
    while True:
        result = dice.between(2, LARGEST_FACTOR if operations[0] == "*" else LARGEST_FIRST)
        steps: list[Step] = []
        for operation in operations:
            if operation == "-" and result < 3:
                break
            steps.append(step(dice, result, operation))
            result = steps[-1].after
        if len(steps) == len(operations) and any(made.held_out() for made in steps) == (part == TEST):
            return steps


def worked(steps: list[Step]) -> str:
    """The solution as the task wants it: every step, then "The answer is: N"."""
    return ". ".join(str(made) for made in steps) + f". The answer is: {steps[-1].after}"


def problem(dice: Dice, forms: Forms, part: str) -> tuple[str, str, list[Step]]:
    """A word problem: its text, the things it counts and its solution."""
    operations = dice.pick(list(forms))
    steps = chain(dice, operations, part)
    name, other = dice.take(words("person", part), 2)
    things = dice.pick(words("item", part))
    numbers = dict(zip("abc", (steps[0].before, *(made.number for made in steps)), strict=False))
    return dice.pick(forms[operations]).format(n=name, m=other, it=things, **numbers), things, steps


def _record(dice: Dice, forms: Forms, part: str, name: str) -> Record:
    question, _, steps = problem(dice, forms, part)
    return {
        "id": name,
        "question": question,
        "answers": [str(steps[-1].after)],
        "target": worked(steps),
        "group": f"{name}-problem",
    }


def generate_math(seed: int, train: int, test: int) -> dict[str, list[Record]]:
    """`train` records to learn from (one and two steps) and `test` records for each test set."""
    dice = Dice(f"math/train/{seed}")
    both = ONE_STEP | TWO_STEP
    made = {"train": distinct(train, lambda number: [_record(dice, both, TRAIN, f"math-train-{number}")])}
    for name, (forms, _) in SETS.items():
        made[name] = _test(seed, name, forms, test)
    return made


def _test(seed: int, name: str, forms: Forms, count: int) -> list[Record]:
    dice = Dice(f"math/{name}/{seed}")
    return distinct(count, lambda number: [_record(dice, forms, TEST, f"math-{name}-{number}")])
