"""Whether two answers in normal form are equal: as numbers, as words, as lists, or by mathematics.

Plain numbers: integers exactly, others within a relative 1e-4. Letters and words: as text in any case. Numbers with a
base: digits and base as text (`4210_{5}` is not `4210`). Lists: element by element; in round and square brackets the
order and the brackets count (points, intervals), with braces or without brackets they do not (solutions). Everything
else is decided by math-verify (sympy), within bounds on the text and on the work; beyond these the answers differ.

The relation is symmetric: math-verify's is not, so it gets the two texts in alphabetical order.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cache

from ptmoe.scoring.effort import Effort, EffortExceeded
from ptmoe.scoring.normal_form import closing, split, unwrapped
from ptmoe.scoring.numbers import close, number

# Calls of Python functions that math-verify may spend on one example.
CALLS = 500_000
# Bounds on what math-verify may read: characters, depth of brackets, elements of a list.
LONGEST_MATHEMATICS, DEEPEST, MOST_ELEMENTS = 300, 8, 20
# Digits that a power or a factorial may have written out.
_MOST_DIGITS = 20_000

# One letter, or words of which one has three letters at least: `ab` and `p - q` are mathematics.
_WORDS = re.compile(r"[A-Za-z]|(?=.*[A-Za-z]{3})[A-Za-z][A-Za-z'. -]{3,}")
_ARTICLE = re.compile(r"^(?:an?|the) ")
_BASE = re.compile(r"-?[0-9A-Za-z.]+_\{\d+\}")
_NOT_IN_KEY = re.compile(r"\s+|\\[ ,;:!]")
_BRACED = re.compile(r"([\^_])\{(\w)\}")
_POWER = re.compile(r"\^\s?")
_LETTER = re.compile(r"[\dA-Za-z]")
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,}")
_RELATION = re.compile(r"[<>=]|\\(?:le|ge|ne|in)(?![A-Za-z])")
# Pairs whose comparison goes through most of the grammar and of the comparison.
_FIRST_USE = [
    (r"\frac{\sqrt{3}}{3} + x^{2}", r"(1 + x)(1 - x)"),
    (r"-2 \le x \le 7", "[-2,7]"),
    (r"(-\infty, 2) \cup (3, \infty)", r"\{1 \pm \sqrt{5}, \pi\}"),
    ("5x - 7y + 4 = 0", "10x - 14y + 8 = 0"),
    (r"\cot x", r"\frac{\cos x}{\sin x}"),
    (r"\begin{pmatrix} 1 \\ -1/3 \end{pmatrix}", r"\begin{pmatrix} 1.5 \\ \log_2 8 \end{pmatrix}"),
]


def equal(given: str, gold: str, mathematics: bool = True, effort: Effort | None = None) -> bool:
    """Tells whether two normal forms are equal.

    With `mathematics` math-verify is asked where numbers, words and lists do not decide; `effort` (by default `CALLS`)
    is what it may spend.
    """
    if not given or not gold:
        return False
    if _key(given) == _key(gold):
        return True
    numbers = number(given), number(gold)
    if numbers[0] is not None and numbers[1] is not None:
        return close(numbers[0], numbers[1])
    if _WORDS.fullmatch(given) or _WORDS.fullmatch(gold):
        return _ARTICLE.sub("", given.casefold()) == _ARTICLE.sub("", gold.casefold())
    if _BASE.fullmatch(given) or _BASE.fullmatch(gold):
        return False
    effort = effort or Effort(CALLS)
    lists = _elements(given), _elements(gold)
    if lists[0] and lists[1]:
        return _same_lists(lists[0], lists[1], mathematics, effort)
    several = lists[0] or lists[1]
    if several and not several[0]:
        # One value, said more than once, is that value: `1/2 or 0.5`.
        one, elements = gold if lists[0] else given, several[1]
        return len(elements) <= MOST_ELEMENTS and all(equal(each, one, mathematics, effort) for each in elements)
    return mathematics and _same_value(min(given, gold), max(given, gold), effort)


def _key(text: str) -> str:
    return _BRACED.sub(r"\1\2", _NOT_IN_KEY.sub("", text))


# --- lists ---------------------------------------------------------------------------------------------------------


def _elements(text: str) -> tuple[str, list[str]] | None:
    """Returns the brackets and elements of a list, brackets empty where the order does not count; else None."""
    if text[:1] in ("(", "[") and closing(text) == len(text) - 1 and text[-1] in ")]":
        elements = split(text[1:-1], ",;")
        return (text[0] + text[-1], elements) if len(elements) > 1 else None
    braces = text[:2] == "\\{" and text[-2:] == "\\}" and closing(text[1:]) == len(text) - 2
    elements = [
        signed
        for part in split(text[2:-2] if braces else text, ";")
        for element in ([part] if number(part) is not None else split(part, ","))  # `1,000; 2,000` are two
        for signed in _both_signs(element)
    ]
    return ("", elements) if braces or len(elements) > 1 else None


def _both_signs(text: str) -> list[str]:
    """Writes `a \\pm b` out as its two values."""
    if text.count("\\pm") != 1:
        return [text]
    left, _, right = text.partition("\\pm")
    return [f"{left}{sign}{right.strip()}".strip().removeprefix("+") for sign in "+-"]


def _same_lists(given: tuple[str, list[str]], gold: tuple[str, list[str]], mathematics: bool, effort: Effort) -> bool:
    (kind, left), (other, right) = given, gold
    if kind != other or len(left) != len(right) or len(left) > MOST_ELEMENTS:
        return False
    pairs = [unwrapped(element) for element in left], [unwrapped(element) for element in right]
    if kind:
        return all(equal(a, b, mathematics, effort) for a, b in zip(*pairs, strict=True))
    rest = pairs[1]
    for element in pairs[0]:
        match = next((place for place, b in enumerate(rest) if equal(element, b, mathematics, effort)), None)
        if match is None:
            return False
        rest = rest[:match] + rest[match + 1 :]
    return True


# --- mathematics ---------------------------------------------------------------------------------------------------


def _same_value(one: str, two: str, effort: Effort) -> bool:
    if not (_is_bounded(one) and _is_bounded(two)) or _is_equation(one) != _is_equation(two):
        return False
    decide = _mathematics()
    try:
        with effort.counted():
            return decide(one, two)
    except EffortExceeded:
        return False


@cache
def _mathematics() -> Callable[[str, str], bool]:
    """Returns math-verify's decision on two LaTeX texts, without its alarm, which works in the main thread only.

    It is imported here because sympy takes half a second, which scoring plain numbers should not cost. Its grammar and
    sympy fill their tables at the first use; some examples do so before anything is counted.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it would warn that the alarm is off

    def decide(one: str, two: str) -> bool:
        how = [LatexExtractionConfig()]
        left, right = (parse(f"${text}$", how, "no_fallback", parsing_timeout=0) for text in (one, two))  # type: ignore[arg-type]
        return bool(left and right) and verify(left, right, timeout_seconds=0, allow_set_relation_comp=True)  # type: ignore[arg-type]

    for one, two in _FIRST_USE:
        decide(one, two)
    return decide


def _is_equation(text: str) -> bool:
    relations = _RELATION.findall(text)
    return "=" in relations and not {"<", ">", "\\le", "\\ge"} & set(relations)


def _is_bounded(text: str) -> bool:
    """Tells whether math-verify may read a text: short, shallow, and without powers too large to write out."""
    if (
        not 0 < len(text) <= LONGEST_MATHEMATICS
        or "$" in text
        or not _LETTER.search(text)
        or len(_PROSE.findall(text)) > 1
    ):
        return False
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST or depth != 0 or re.search(r"[)}\]!]\s?!|\d{4}\s?!", text):
        return False
    longest = max((len(run) for run in re.findall(r"\d+", text)), default=1)
    if "binom" in text and longest > 4:
        return False
    single = nested = 1
    for power in _POWER.finditer(text):
        before, rest = text[: power.start()].rstrip()[-1:], text[power.end() :]
        exponent = rest[: closing(rest) + 1] if rest[:1] in ("{", "(") else rest[:1]
        digits = "".join(sign for sign in exponent if sign.isdigit())
        # A tower of numbers is not bounded by the digits that it shows.
        tower = "^" in exponent or "!" in exponent or rest[len(exponent) :].lstrip()[:1] == "^"
        if len(digits) > 4 or (tower and not before.isalpha()):
            return False
        if before in ")}]!":
            nested *= max(1, int(digits or 1))
        else:
            single = max(single, int(digits or 1))
    return longest * single * nested <= _MOST_DIGITS
