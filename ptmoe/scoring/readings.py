"""The readings of a final answer, one of which must be the gold answer.

A stated answer is read literally; as the last side of an equation (`12 + 5 = 17`), the value beside a name (`5 = x`),
the exact side before `\\approx`; as the inside of square brackets, which the prompt shows around the answer; as a
choice (`(B) 12`: `B`, `12`); a list also with the names taken off its elements (`x = 1, y = 2`: `1, 2`, `(1, 2)`).
Beside a gold answer that is itself an equation, only names are taken off: `2x = 5` is not `x = 5`.

A gold answer is read literally, and without a name on its left (`y = 2x + 3`, `x \\in S`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ptmoe.scoring.line_value import value_in
from ptmoe.scoring.normal_form import LONGEST, normal_form, plain_signs, split, unwrapped

_CHOICE = re.compile(
    r"(?:(?:option|choice|answer)\s)?\(?([A-J])(?:\)|[.:,]\s|[.:,]?$)\s*+(?!(?:or|and)\b)", re.IGNORECASE
)
# `x`, `x_1`, `f(2)`, `P(A)`, `(x, y)`, `\angle ABC`.
_NAME = re.compile(
    r"\\?[A-Za-z]\w*(?:_\{\w*\}|')*(?:\([^()=]{0,20}\))?"
    r"|\([A-Za-z](?:\s?,\s?[A-Za-z])*\)|m?\s?\\(?:angle|triangle)\s?\{?\w+\}?"
)
_RELATION = re.compile(r"(?<![<>!=:\\])=(?!=)|\\approx(?![A-Za-z])|\\in(?![A-Za-z])")


def readings(texts: Iterable[str], gold: str) -> list[str]:
    """Returns the normal forms that the texts of a final answer can be read as beside a gold answer."""
    of_relation = bool(_RELATION.search(normal_form(gold)))
    found = [reading for text in texts for reading in _readings(text, named_only=of_relation)]
    return list(dict.fromkeys(reading for reading in found if reading))


def _readings(answer: str, named_only: bool) -> Iterator[str]:
    text = normal_form(answer)
    yield text
    yield from _sides(text, named_only)
    choice = _CHOICE.match(plain_signs(answer[:LONGEST]).strip("*$ "))
    if choice:
        yield choice[1]
        yield normal_form(value_in(answer[choice.end() :]))
    elements = split(text, ",;")
    if len(elements) > 1:
        bare = [(_sides(element, named_only=True) or [element])[-1] for element in elements]
        yield ", ".join(bare)
        if all(_sides(element, named_only=True) for element in elements):
            yield f"({', '.join(bare)})"
    if text[:1] == "[" and text[-1:] == "]":
        yield text[1:-1].strip()


def gold_readings(gold: str) -> list[str]:
    """Returns the normal forms of a gold answer: literally, and without a name on its left."""
    text = normal_form(gold)
    return list(dict.fromkeys([text, *_sides(text, named_only=True)]))


def _sides(text: str, named_only: bool) -> list[str]:
    """Returns the sides of an equation or membership that state its value."""
    marks = list(_RELATION.finditer(text))
    if not marks or len(split(text, ",;")) > 1:
        return []
    begins, ends = [0, *(mark.end() for mark in marks)], [*(mark.start() for mark in marks), len(text)]
    sides = [text[begin:end].strip() for begin, end in zip(begins, ends, strict=True)]
    if named_only and not (_NAME.fullmatch(sides[0]) or _NAME.fullmatch(sides[-1])):
        return []
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _NAME.fullmatch(sides[0]):
        return [unwrapped(sides[0])]
    exact = [sides[-2]] if marks[-1][0] == "\\approx" else []
    return [unwrapped(side) for side in [*exact, sides[-1]] if side]
