"""The metrics of each kind of task: their columns in order, and the one that ranks methods."""

from __future__ import annotations

from collections.abc import Sequence

from ptmoe.errors import ScoringError
from ptmoe.metrics import math
from ptmoe.scoring.qa import score_qa

COLUMNS = {"qa": ("em", "f1"), "math": math.COLUMNS}
# The prompt asks for "The answer is:", and the official rule of MetaMath counts an answer without it as wrong.
HEADLINE = {"qa": "f1", "math": "accuracy_strict"}
SECOND = {"qa": "em", "math": "accuracy"}
NAMES = {"em": "EM", "f1": "F1"} | math.NAMES
RULES = {"qa": ("mrqa",), "math": math.RULES}


def score_one(metric: str, rule: str, prediction: str | None, answers: Sequence[str]) -> dict[str, float]:
    """Scores one prediction in 0..1, a value a column; a missing prediction scores 0.

    Raises:
        ScoringError: the rule does not belong to the metric, or there is no gold answer.
    """
    if rule not in RULES[metric]:
        raise ScoringError(f"rule {rule!r} does not score metric {metric!r}; allowed: {', '.join(RULES[metric])}")
    if not answers:
        raise ScoringError("an example has no gold answer; give at least one")
    if prediction is None:
        return dict.fromkeys(COLUMNS[metric], 0.0)
    return score_qa(prediction, answers) if metric == "qa" else math.score(prediction, answers, rule)
