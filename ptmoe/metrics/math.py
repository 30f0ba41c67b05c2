"""Accuracy of worked answers to mathematical questions, by two rules.

`metamath` is the official rule of the training data to the letter: it needs the marker, rounds to integers and breaks
on thousands. `numeric` reads decimals, fractions, thousands, signs and LaTeX, and compares with a relative tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from ptmoe.scoring.latex import boxed, right_side, same_text
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.numbers import numbers_in, parse_number

MARKER = "The answer is:"
TOLERANCE = Fraction(1, 10_000)
_LOOSE_MARKER = re.compile(r"answer is\s*:?", re.IGNORECASE)
_METAMATH_NUMBER = re.compile(r"[\-+]?\d*[\.,/]?\d+")


# --- numeric -------------------------------------------------------------------------------------------------------


def numeric_correct(prediction: str, answer: str, strict: bool) -> bool:
    """Tells whether the extracted answer equals the gold answer, as a number where the gold answer is one."""
    candidate = extract(prediction, strict)
    gold = parse_number(answer)
    if gold is None:
        return candidate is not None and same_text(candidate, answer)
    if candidate is not None:
        given = parse_number(candidate)
        found = [given] if given is not None else numbers_in(right_side(candidate))[:1]
    else:
        found = [] if strict else numbers_in(prediction)[-1:]
    return bool(found) and close(found[0], gold)


def close(given: Fraction, gold: Fraction) -> bool:
    """Tells whether two numbers are equal: integers exactly, others within a relative 1e-4.

    A tolerance for integers would accept 10001 for 10000.
    """
    if given.denominator == gold.denominator == 1:
        return given == gold
    return abs(given - gold) <= TOLERANCE * max(abs(given), abs(gold))


def extract(prediction: str, strict: bool) -> str | None:
    """Returns the text that states the final answer, or None.

    Strict: the rest of the line after the last `The answer is:`. Flexible: that, else the last `\\boxed{...}`, else
    what follows the last `####`, else the last `answer is` in any case.
    """
    if MARKER in prediction:
        return _line_after(prediction.rpartition(MARKER)[2])
    if strict:
        return None
    inside = boxed(prediction)
    if inside is not None:
        return inside
    if "####" in prediction:
        return _line_after(prediction.rpartition("####")[2])
    loose = list(_LOOSE_MARKER.finditer(prediction))
    return _line_after(prediction[loose[-1].end() :]) if loose else None


def _line_after(text: str) -> str:
    line = (text.strip().splitlines() or [""])[0].strip()
    inside = boxed(line)
    return line if inside is None else inside


# --- metamath ------------------------------------------------------------------------------------------------------


def metamath_correct(prediction: str, answer: str) -> bool:
    """Applies MetaMath's GSM8K rule.

    Source: meta-math/MetaMath, eval_gsm8k.py, `extract_answer_number` and `gsm8k_test`. Where that script would stop
    with an error (a gold answer that is no number, `1/00`), the answer is wrong.
    """
    given = metamath_extract(prediction)
    try:
        return given is not None and float(given) == float(answer.replace(",", ""))
    except (ValueError, OverflowError):
        return False


def metamath_extract(prediction: str) -> int | None:
    """Returns the first number after the last `The answer is: `, rounded half to even, or None."""
    pieces = prediction.split("The answer is: ")
    match = _METAMATH_NUMBER.search(pieces[-1].strip()) if len(pieces) > 1 else None
    if match is None:
        return None
    number = match[0].replace(",", "")
    try:
        top, slash, bottom = number.partition("/")
        if not slash:
            return round(float(number))
        float(top)
        if bottom == "0":
            return round(float(top))
        fraction = Fraction(number)
        return round(fraction.numerator / fraction.denominator)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def score(prediction: str, answers: Sequence[str], rule: str) -> dict[str, float]:
    """Scores one prediction in 0..1: with flexible extraction, and strictly (the marker is needed).

    Under `metamath`, which knows only strict extraction, both are the same.
    """
    if rule == "metamath":
        right = float(any(metamath_correct(prediction, answer) for answer in answers))
        return {"accuracy": right, "accuracy_strict": right}
    strict = any(numeric_correct(prediction, answer, strict=True) for answer in answers)
    flexible = strict or any(numeric_correct(prediction, answer, strict=False) for answer in answers)
    return {"accuracy": float(flexible), "accuracy_strict": float(strict)}


METRIC = Metric(
    "math",
    {"accuracy": "accuracy", "accuracy_strict": "strict accuracy"},
    headline="accuracy_strict",
    rules=["numeric", "metamath"],
    score=score,
)
