"""Exact match and F1 of extractive question answering, as MRQA 2019 scores them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from ptmoe.scoring.metric import Metric

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Lower-cases, deletes ASCII punctuation, blanks articles and collapses white space, in this order.

    Source: mrqa/MRQA-Shared-Task-2019, mrqa_official_eval.py, `normalize_answer`.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """Returns 1 when the normalised texts are equal, else 0 (two empty texts are equal)."""
    return float(normalise(prediction) == normalise(answer))


def f1(prediction: str, answer: str) -> float:
    """Returns the harmonic mean of precision and recall over the normalised texts' tokens, counted with repetition.

    Two empty texts share no token and score 0, as in the official script.
    """
    predicted, gold = normalise(prediction).split(), normalise(answer).split()
    common = sum((Counter(predicted) & Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def score(prediction: str, answers: Sequence[str], rule: str) -> dict[str, float]:
    """Scores one prediction in 0..1 against the gold answer that suits each column best."""
    return {
        "em": max(exact_match(prediction, answer) for answer in answers),
        "f1": max(f1(prediction, answer) for answer in answers),
    }


METRIC = Metric("qa", {"em": "EM", "f1": "F1"}, headline="f1", rules=["mrqa"], score=score)
