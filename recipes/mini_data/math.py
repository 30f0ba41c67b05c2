"""Word problems with small whole numbers, in grades of increasing difficulty, and their worked solutions."""

from dataclasses import dataclass
from zlib import crc32

from recipes.mini_data.dice import Dice
from recipes.mini_data.problems import GRADES, IN_DOMAIN, OUT_OF_DOMAIN, REMARKS, TRAIN_GRADES, Grade
from recipes.mini_data.records import Record, distinct
from recipes.mini_data.words import TEST, TRAIN, words

LARGEST_FIRST = 20
LARGEST_NEXT = 12
LARGEST_FACTOR = 6
HELD_OUT_MODULUS = 6
SETS: dict[str, str] = dict.fromkeys(IN_DOMAIN, "in-domain") | dict.fromkeys(OUT_OF_DOMAIN, "out-of-domain")


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


def chain(dice: Dice, operations: str, part: str, first: tuple[int, int] = (2, LARGEST_FIRST)) -> list[Step]:
    """Steps from left to right, the first from a number in `first` or from a factor.

    In the part "train" no step is held out, in "test" at least one is.
    """
    low, high = (2, LARGEST_FACTOR) if operations[0] == "*" else first
    while True:
        result = dice.between(low, high)
        steps: list[Step] = []
        for operation in operations:
            if operation == "-" and result < 3:
                break
            steps.append(step(dice, result, operation))
            result = steps[-1].after
        if len(steps) == len(operations) and any(made.held_out() for made in steps) == (part == TEST):
            return steps


def worked(steps: list[Step]) -> str:
    """The solution in the task's format: every step, then "The answer is: N"."""
    return ". ".join(str(made) for made in steps) + f". The answer is: {steps[-1].after}"


def with_remarks(dice: Dice, text: str, remarks: list[str]) -> str:
    """The problem with each remark before its first sentence or before its question.

    Elsewhere a remark could change what the next sentence refers to.
    """
    told, _, question = text.rpartition(". ")
    sentences = [f"{told}."]
    for remark in remarks:
        sentences.insert(dice.pick((0, len(sentences))), remark)
    return " ".join([*sentences, question])


def problem(dice: Dice, grade: Grade, part: str) -> tuple[str, list[Step]]:
    """A word problem and its solution."""
    operations = dice.pick(list(grade.forms))
    steps = chain(dice, operations, part, grade.first)
    names = dict(zip("nmo", dice.take(words("person", part), 3), strict=True))
    things, other = dice.take(words("item", part), 2)
    numbers = dict(zip("abc", (steps[0].before, *(made.number for made in steps)), strict=False))
    text = dice.pick(grade.forms[operations]).format(it=things, **names, **numbers)
    remarks = [
        remark.format(other=other, d=dice.between(2, LARGEST_FIRST), **names)
        for remark in dice.take(REMARKS, grade.remarks)
    ]
    return with_remarks(dice, text, remarks) if remarks else text, steps


def _record(dice: Dice, grade: Grade, part: str, name: str) -> Record:
    question, steps = problem(dice, grade, part)
    return {
        "id": name,
        "question": question,
        "answers": [str(steps[-1].after)],
        "target": worked(steps),
        "group": f"{name}-problem",
    }


def generate_math(seed: int, train: int, test: int) -> dict[str, list[Record]]:
    """`train` records to learn from, of all training grades, and `test` records for each test set."""
    dice = Dice(f"math/train/{seed}")

    def taught(number: int) -> list[Record]:
        return [_record(dice, GRADES[dice.pick(TRAIN_GRADES)], TRAIN, f"math-train-{number}")]

    return {"train": distinct(train, taught)} | {name: _test(seed, name, test) for name in SETS}


def _test(seed: int, name: str, count: int) -> list[Record]:
    dice = Dice(f"math/{name}/{seed}")
    return distinct(count, lambda number: [_record(dice, GRADES[name], TEST, f"math-{name}-{number}")])
