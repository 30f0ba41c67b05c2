"""Accuracy of worked answers to mathematical questions.

Columns: `accuracy` accepts a final answer in any form of `ptmoe.scoring.final_answer`, `accuracy_strict` only after
the marker "The answer is:". The headline is `accuracy`: the paper counts an output without the marker as right.

Rules, one per data set:

- `numeric`: the gold answer is a number, a word or a list of these; an expression that is not worked out is wrong;
- `latex`: as `numeric`, and mathematics may decide: `\\frac{\\sqrt 3}{3}` is `1/\\sqrt{3}`;
- `metamath`: MetaMath's official script, which reads only integers after the marker; both columns are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptmoe.scoring.effort import Effort
from ptmoe.scoring.equality import CALLS, equal
from ptmoe.scoring.final_answer import final_answer
from ptmoe.scoring.metamath import metamath_correct
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.readings import gold_readings, readings


def score(prediction: str, answers: Sequence[str], rule: str) -> dict[str, float]:
    """Scores one prediction, which may match any gold answer, with 0 or 1 in each column."""
    if rule == "metamath":
        right = float(any(metamath_correct(prediction, answer) for answer in answers))
        return {"accuracy": right, "accuracy_strict": right}
    strict = is_correct(final_answer(prediction, strict=True), answers, rule)
    flexible = strict or is_correct(final_answer(prediction, strict=False), answers, rule)
    return {"accuracy": float(flexible), "accuracy_strict": float(strict)}


def is_correct(texts: Sequence[str], answers: Sequence[str], rule: str) -> bool:
    """Tells whether the texts of a final answer state one of the gold answers under `numeric` or `latex`."""
    effort = Effort(CALLS)
    pairs = [(given, right) for gold in answers for right in gold_readings(gold) for given in readings(texts, gold)]
    # Text and numbers decide first, because mathematics is slow.
    if any(equal(given, right, mathematics=False) for given, right in pairs):
        return True
    return rule == "latex" and any(equal(given, right, effort=effort) for given, right in pairs)


METRIC = Metric(
    "math",
    {"accuracy": "accuracy", "accuracy_strict": "strict accuracy"},
    headline="accuracy",
    rules=["numeric", "latex", "metamath"],
    score=score,
)
