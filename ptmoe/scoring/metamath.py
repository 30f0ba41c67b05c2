"""MetaMath's official rule for GSM8K, to the letter: it needs the marker, rounds to integers and breaks on thousands.

Source: meta-math/MetaMath, eval_gsm8k.py, `extract_answer_number` and `gsm8k_test`.
"""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = re.compile(r"[\-+]?\d*[\.,/]?\d+")


def metamath_correct(prediction: str, answer: str) -> bool:
    """Applies the rule; where the official script would stop with an error, the answer is wrong.

    It stops on a gold answer that is not a number and on `1/00`.
    """
    given = metamath_extract(prediction)
    try:
        return given is not None and float(given) == float(answer.replace(",", ""))
    except (ValueError, OverflowError):
        return False


def metamath_extract(prediction: str) -> int | None:
    """Returns the first number after the last `The answer is: `, rounded half to even, or None."""
    pieces = prediction.split("The answer is: ")
    match = _NUMBER.search(pieces[-1].strip()) if len(pieces) > 1 else None
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
