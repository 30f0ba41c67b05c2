"""Answers that are no numbers: one spelling for LaTeX texts that mean the same."""

from __future__ import annotations

import re

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\[()\[\]]|\$", ""),
        (r"\\(?:left|right|displaystyle|limits)(?![a-zA-Z])", ""),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\(?:text|mbox|textbf|mathrm)\{\s*(.*?)\s*\}", r"\1"),
        (r"\^\s*\{?\\circ\}?|\\(?:%|degree)|%|\u00b0", ""),
        (r"\\[!,;: ]|~|\s", ""),
        (r"\\frac(\d)(\d)", r"\\frac{\1}{\2}"),
        (r"\\sqrt(\w)", r"\\sqrt{\1}"),
        (r"\^\{(\w)\}", r"^\1"),
        (r"(?<![\w}])(\d+)/(\d+)(?!\w)", r"\\frac{\1}{\2}"),
    ]
]
_LEFT_SIDE = re.compile(r"^[A-Za-z]\w*(?:\([^()=]*\))?\s*=(?!=)\s*")


def right_side(text: str) -> str:
    """Takes away the left side of an equation that only names the value: `x = 5` and `f(2) = 5` give `5`."""
    return _LEFT_SIDE.sub("", text.strip().lstrip("$"))


def boxed(text: str) -> str | None:
    """Returns what the last `\\boxed{...}` of a text holds, braces balanced, else None."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed")
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin + 1 : position]
    return None


def normalise(text: str) -> str:
    """Returns a text without white space, sizes, units' markup and `$`, fractions in one form, without the last period.

    The steps follow the published scoring of MATH (hendrycks/math, math_equivalence.py) in meaning.
    """
    text = right_side(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text.rstrip(".")


def same_text(candidate: str, answer: str) -> bool:
    """Tells whether two texts have one normal form; the candidate may stand in brackets, as in `[answer]`."""
    gold, given = normalise(answer), normalise(candidate)
    return gold == given or (given[:1] == "[" and given[-1:] == "]" and gold == given[1:-1])
