"""Data sets that need no download: questions on short passages, and word problems in grades of difficulty.

The in-domain test sets use the sentence forms of the training set with names, values and sums that the
training set lacks; the out-of-domain ones use other sentence forms, relations or ranges of numbers as well.
"""

from recipes.mini_data import math, qa
from recipes.mini_data.records import Record

TEST_SETS: dict[str, dict[str, str]] = {
    "qa": {name: kind for name, (_, _, kind) in qa.SETS.items()},
    "math": math.SETS,
}
_GENERATORS = {"qa": qa.generate_qa, "math": math.generate_math}


def generate(task: str, seed: int, train: int, test: int) -> dict[str, list[Record]]:
    """The records of `task`: "train" with `train` records, then each test set with `test` records.

    A record is {"id", "question", "context" (qa only), "answers", "target", "group"}; `group` names the
    passage or problem, so that a split can keep the questions of one passage together. The same seed gives
    the same records on every machine. Raises KeyError for an unknown task.
    """
    return _GENERATORS[task](seed, train, test)
