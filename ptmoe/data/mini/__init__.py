"""Generated data sets that need no download: questions on short passages and word problems with small numbers.

The in-domain test sets use the sentence forms of the training set with words and number combinations that the training
set lacks; the out-of-domain ones use other sentence forms, relations or operations as well.
"""

from ptmoe.data.mini import math, qa

TEST_SETS: dict[str, dict[str, str]] = {
    "qa": {name: kind for name, (_, _, kind) in qa.SETS.items()},
    "math": {name: kind for name, (_, kind) in math.SETS.items()},
}
_GENERATORS = {"qa": qa.generate_qa, "math": math.generate_math}


def generate(task: str, seed: int, train: int, test: int) -> dict[str, list[dict[str, object]]]:
    """The records of `task`: key "train" with `train` records and a key a test set with `test` records each.

    A record is {"id", "question", "context" (qa only), "answers", "target", "group"}; `group` names the passage or
    problem, so that a split can keep the questions of one passage together. Raises KeyError for an unknown task.
    """
    return _GENERATORS[task](seed, train, test)
