"""Numbers in normal forms, read exactly (thousands, decimals, fractions, mixed numbers, LaTeX) and compared."""

from __future__ import annotations

import re
from fractions import Fraction

_UNSIGNED = r"(?:(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,2}(?![\d\w]))?"
# Longer runs of digits are not answers, and Python refuses to read them.
_LONGEST = 1000
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w.)\]}}])[-+])?
    (?:
      (?P<latex_whole>\d+)?\s*\\frac\{{\s*(?P<latex_top>[-+]?{_UNSIGNED})\s*\}}\{{\s*(?P<latex_bottom>{_UNSIGNED})\s*\}}
    | (?P<whole>\d+)\s+(?P<mixed_top>\d+)\s*/\s*(?P<mixed_bottom>\d+)
    | (?P<top>{_UNSIGNED})\s*/\s*(?P<bottom>{_UNSIGNED})
    | (?P<value>{_UNSIGNED})
    )""",
    re.VERBOSE,
)
TOLERANCE = Fraction(1, 10_000)


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _value(match: re.Match[str]) -> Fraction | None:
    """Returns a match's value, or None for a denominator of zero or a run of digits that is too long."""
    if len(match[0]) > _LONGEST:
        return None
    part = match.groupdict()
    whole = _fraction(part["latex_whole"] or part["whole"] or "0")
    top, bottom = "0", "1"
    for form in ("latex_", "mixed_", ""):
        if part[f"{form}top"]:
            top, bottom = part[f"{form}top"], part[f"{form}bottom"]
    if part["value"]:
        whole = _fraction(part["value"])
    if _fraction(bottom) == 0:
        return None
    size = whole + _fraction(top) / _fraction(bottom)
    return -size if part["sign"] == "-" else size


def number(text: str) -> Fraction | None:
    """Returns the number that a normal form is as a whole (`1,234.50`, `-\\frac{1}{2}`); `(12,102)` is a pair."""
    match = None if text[:1] in ("(", "[") else _NUMBER.fullmatch(text.rstrip(" .)]\\"))
    return _value(match) if match else None


def close(given: Fraction, gold: Fraction) -> bool:
    """Tells whether two numbers are equal: integers exactly, others within a relative 1e-4.

    A tolerance for integers would accept 10001 for 10000.
    """
    if given.denominator == gold.denominator == 1:
        return given == gold
    return abs(given - gold) <= TOLERANCE * max(abs(given), abs(gold))
