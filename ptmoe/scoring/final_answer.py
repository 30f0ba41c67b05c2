"""Extracts the final answer from a model's output.

Grammar, in order; the first form that occurs decides (strict extraction uses only the first):

    output   := ... "The answer is:" stated               the last such marker, case as written
              | ... box (joint box)* text                 the last filled box, and those joined to it
              | ... "####" stated                         the last that a value follows on its line
              | ... "answer" (words) ("is" | ":") stated  any case, the last that is not a verdict (`is correct`)
              | last line that holds a value              its last value; an output of one line also as a whole
    box      := "\\boxed{" text "}"                        `\\fbox` too; `\\boxed{}` and `\\boxed{answer}` are mentions
    joint    := "," | ";" | "and" | "or"                  `x = \\boxed{3} and y = \\boxed{5}` is `3; 5`
    stated   := display | environment | bullets | line    the first two over any number of lines
    bullets  := two or more lines that begin with "*", "-" and a letter, or a bullet: one list
    line     := the first line that is not blank

A final answer is its statement, without emphasis, and the value that `line_value` finds in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ptmoe.scoring.line_value import value_in, without_emphasis
from ptmoe.scoring.normal_form import LONGEST, closing

MARKER = "The answer is:"
# The forms without the marker are sought in this many characters at the end of an output, and this many boxes.
_TAIL, _MOST_BOXES = 50_000, 50
# A statement over several lines ends after this many characters.
_LONGEST_STATEMENT = 4 * LONGEST

_BOX = re.compile(r"\\f?boxe?d?\s{0,3}\{")
_MENTION = re.compile(
    r"[\s.]*|(?:(?:your|the|final) )*answer(?: here)?|\\[cl]?dots|\\text\{(?:(?:your|the|final) )*answer\}",
    re.IGNORECASE,
)
_AND_OR = r"(?:,|;|and|or|\\text\{\s*(?:and|or)\s*\}|\\q?quad)"
_JOINT = re.compile(rf"[\s$.]*(?:{_AND_OR}[\s$]*){{1,2}}(?:\w{{1,2}}\s?=\s?)?")
_HASHES = re.compile(r"####[ \t]*(?=[-+$\\([.*\d\u00a3\u20ac\u2212]|[A-J]\s*(?:\n|$)|[A-Za-z]\s*[-+=^(\\])")
_VERDICT = r"(?:correct|right|wrong|incorrect|helpful|clear|reasonable|not|as follows|below|above|\[answer\])"
_LOOSE = re.compile(
    rf"\b(?:answer|option|choice)s?\b[^\n.:]{{0,60}}?(?:\bis\b|\bare\b|\bbe\b|:|=)(?:\**\s{{0,3}}:)?(?!\W{{0,5}}{_VERDICT}\b)",
    re.IGNORECASE,
)
_DISPLAY = re.compile(r"(?P<open>\$\$|\\\[|\\begin\{(?P<name>[A-Za-z]{1,20}\*?)\})")
_BULLET = re.compile(r"(?:[*\u2022]|- (?=[A-Za-z$\\]))\s*(?!\*)(.+)")
# What a label in bold or a heading leaves behind it.
_LEAD = re.compile(r"(?:\*\*|__|[#:\s])*")
# Not the blanks that group digits.
_BLANKS = re.compile(r"[ \t\r\n]+")
_SIGN_OF_VALUE = re.compile(r"\d|\$.+\$|\\[(\[]")


def final_answer(output: str, strict: bool) -> tuple[str, ...]:
    """Returns the texts that state the final answer of an output: the whole statement and its value, or none.

    Strict extraction accepts only what follows `The answer is:`.
    """
    _, marker, after = output.rpartition(MARKER)
    if marker:
        return _with_value(stated(after))
    if strict:
        return ()
    tail = output[-_TAIL:]
    inside = boxed(tail)
    if inside is not None:
        return _with_value(inside)
    marks = list(_HASHES.finditer(tail)) or list(_LOOSE.finditer(tail))
    if marks:
        return _with_value(stated(tail[marks[-1].end() :]))
    return _last_value(tail)


def _with_value(statement: str) -> tuple[str, ...]:
    statement = without_emphasis(statement)
    inside = boxed(statement)
    texts = (statement, value_in(statement)) if inside is None else (inside, value_in(inside))
    return tuple(dict.fromkeys(text for text in texts if text))


def _last_value(text: str) -> tuple[str, ...]:
    """Returns the last value of the last line that holds one, and an output of one line as a whole."""
    lines = [line.strip() for line in text.splitlines() if line.strip()][-100:]
    whole = (without_emphasis(lines[0]),) if len(lines) == 1 else ()
    for line in reversed(lines):
        if _SIGN_OF_VALUE.search(line[-LONGEST:]):
            return (*whole, value_in(line[-LONGEST:], last=True))
    return whole


# --- boxes ---------------------------------------------------------------------------------------------------------


def boxed(text: str) -> str | None:
    """Returns what the last box holds, after those joined to it, with semicolons; None without a filled box."""
    joined: list[str] = []
    begin_of_next = len(text)
    for begin, end, content in reversed(list(_boxes(text))):
        if _MENTION.fullmatch(content[:100]):
            continue
        if joined and (content in joined or not _JOINT.fullmatch(text[end : min(begin_of_next, end + 40)])):
            break
        joined.insert(0, content)
        begin_of_next = begin
    return "; ".join(joined) if joined else None


def _boxes(text: str) -> Iterator[tuple[int, int, str]]:
    """Yields begin, end and content of the last outermost boxes; one without an end goes to the end of its line."""
    end = 0
    for start in list(_BOX.finditer(text))[-_MOST_BOXES:]:
        if start.start() < end:
            continue
        inside = text[start.end() - 1 : start.end() + LONGEST]
        close = closing(inside)
        content = inside[1:close] if close > 0 else inside[1:].partition("\n")[0]
        end = start.end() + len(content)
        yield start.start(), end + (close > 0), content.strip() if close > 0 else content.strip(" $")


# --- statements ----------------------------------------------------------------------------------------------------


def stated(text: str) -> str:
    """Returns the first statement of a text: a display or an environment, a list of bullets, or a line."""
    text = text.lstrip()[:_LONGEST_STATEMENT]
    text = text[_LEAD.match(text).end() :]  # type: ignore[union-attr]
    display = _DISPLAY.match(text)
    if display:
        close = {"$$": "$$", "\\[": "\\]"}.get(display["open"], f"\\end{{{display['name']}}}")
        inside, end, rest = text[display.end() :].partition(close)
        if end:
            if display["name"]:
                inside = display["open"] + inside + end + "".join(rest.splitlines()[:1])
            return _BLANKS.sub(" ", inside).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    bullets = []
    for line in lines:
        bullet = _BULLET.fullmatch(line)
        if not bullet:
            break
        bullets.append(bullet[1])
    return "; ".join(bullets) if len(bullets) > 1 else _BLANKS.sub(" ", (lines or [""])[0])
