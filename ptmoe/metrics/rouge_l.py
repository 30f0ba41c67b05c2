"""ROUGE-L of free answers: F measure of the longest common subsequence of words (Lin 2004; the rouge-score package)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.metric import Metric


@cache
def _scorer(stems: bool) -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise ScoringError("metric rouge_l needs the package rouge-score; run `pip install rouge-score`") from None
    return RougeScorer(["rougeL"], use_stemmer=stems)


def score(prediction: str, answers: Sequence[str], rule: str) -> dict[str, float]:
    """Scores one prediction in 0..1 against the gold answer with the highest F measure."""
    scorer = _scorer(rule == "stems")
    return {"rouge_l": max(scorer.score(answer, prediction)["rougeL"].fmeasure for answer in answers)}


METRIC = Metric("rouge_l", {"rouge_l": "ROUGE-L"}, headline="rouge_l", rules=["words", "stems"], score=score)
