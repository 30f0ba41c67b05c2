"""The value in a line of prose: `so she has **18 apples** left` holds `18`.

    line   := (words value)* words    the first value, or the last; `and`, `or` and `to` join values to one
    value  := a run of mathematics that holds a digit, a command or an operation: numbers, signs, single letters,
              commands, and the text between `$..$`, `\\(..\\)` or braces
    words  := runs of letters outside braces that are neither a function nor a product of two letters;
              the end of a sentence

`5 or 9` is `5; 9`; `5 to 9` is `5:9`; `minus 5` is `-5`. A line without a value is the whole line, as is one that
begins with a choice (`(B) 12`). What follows `not` is not a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ptmoe.scoring.normal_form import LONGEST, lone_text, plain_signs

# Bold, code, tags and control tokens; `x**2` is a power.
_EMPHASIS = re.compile(r"</?[a-z]{1,10}>|<\|[^|<>]{1,30}\|>|(?<![\w)])\*\*|\*\*(?![\w(])|__(?=\s|$)|(?:^|(?<=\s))__|`")
_WHOLE = re.compile(r"\(?[A-Ja-j][).:]")
_FUNCTIONS = frozenset(
    re.findall(r"\w+", "sin cos tan cot sec csc arcsin arccos arctan log ln exp sqrt pi max min mod gcd lcm inf")
)
# Two letters that are not a product of variables: common words and units.
_SHORT_WORDS = re.compile(
    r"is|of|to|by|in|at|as|so|or|an|if|we|he|it|on|no|be|do|go|up|us|my|me|am|pm|vs|mr|ms|dr|oh|ok|hi|st|nd|rd|th"
    r"|kg|cm|mm|km|ml|dl|ft|lb|oz|hr|cc|kj|kw|mi|sq|yd|rs"
)
_TOKEN = re.compile(
    r"(?P<span>\$\$[^$]*\$\$|\$(?=\S)[^$\n]*(?<=[^\s$\\])\$(?!\d)|\\\([^\n]*?\\\)|\\\[[^\n]*?\\\])"
    r"|(?P<command>\\(?:[A-Za-z]+|.))"
    # Letters, perhaps joined by a hyphen, or a formula of chemistry.
    r"|(?P<word>[A-Za-z]+(?:['-][A-Za-z]+)*(?:(?<=[A-Z])\d+[A-Z\d]*|_\d[A-Za-z_\d]*(?=[A-Z])[A-Z\d_]*)?)"
    r"|(?P<other>[^A-Za-z\\$]+|.)"
)
_SENTENCE = re.compile(r"(.*?[^.]?)[.?!](?:\s|$)")
_OPERATION = re.compile(r"[A-Za-z]\s?[-+*/=]\s?[A-Za-z]")
_NEGATIVE = ("negative", "minus")
_JOINS = {"and": "; ", "or": "; ", "to": ":"}


def without_emphasis(line: str) -> str:
    """Returns a line of at most `LONGEST` characters without the marks of bold and code."""
    return _EMPHASIS.sub("", line[:LONGEST]).strip()


def value_in(line: str, last: bool = False) -> str:
    """Returns the first (or last) value of a line, or the whole line where it is words only."""
    line = plain_signs(lone_text(without_emphasis(line))).strip("* ")
    if _WHOLE.match(line):
        return line
    values = _values(line)
    return (values[-1] if last else values[0]) if values else line


def _values(line: str) -> list[str]:
    """Splits a line at its words and returns the runs of mathematics that can be a value."""
    values: list[str] = []
    gap: list[str] = []
    joinable = False
    for kind, piece in _runs(line):
        if kind == "word":
            gap.append(piece.lower())
            continue
        value = _trimmed(piece)
        if not _can_be_value(value):
            joinable = joinable and not value
            continue
        if gap and gap[-1] == "not":
            continue
        if gap and gap[-1] in _NEGATIVE:
            value = "-" + value
        join = _JOINS.get(gap[-1]) if gap and len(gap) <= 2 and joinable else None
        if join:
            values[-1] += join + value
        else:
            values.append(value)
        gap, joinable = [], True
    return values


def _runs(line: str) -> Iterator[tuple[str, str]]:
    """Yields `word` or `maths` with its text; neighbouring pieces of mathematics come as one."""
    run, depth = "", 0
    for token in _TOKEN.finditer(line):
        piece, kind = token[0], token.lastgroup
        if kind == "word" and depth <= 0 and _is_word(piece, run, line[token.end() : token.end() + 2]):
            if run.strip():
                yield "maths", run
            yield "word", piece
            run = ""
        elif kind == "other" and depth <= 0 and (sentence := _SENTENCE.match(piece)):
            yield "maths", run + sentence[1]
            run = ""
            yield "word", "."
            run = piece[sentence.end() :]
        else:
            depth += piece.count("{") - piece.count("}") if kind == "other" else 0
            run += _content(piece) if kind == "span" else piece
    if run.strip():
        yield "maths", run


def _content(span: str) -> str:
    return span[2:-2] if span[:2] in ("$$", "\\(", "\\[") else span[1:-1]


def _is_word(piece: str, before: str, after: str) -> bool:
    letters = piece.lower()
    if letters in _FUNCTIONS:
        return False
    if len(piece) == 1:
        # An article, a pronoun or a unit is not a variable when only words or blanks surround it.
        return piece in "aI" and (not before.strip() or before[-1] == " ") and after[:1] == " " and after[1:].isalpha()
    if len(piece) == 2 and piece.isalpha():
        return bool(_SHORT_WORDS.fullmatch(letters)) or piece[0].isupper() != piece[1].isupper()
    return True


def _trimmed(piece: str) -> str:
    """Takes away punctuation at the edges of a value, and a bracket whose other half is a word away."""
    while True:
        before, piece = piece, piece.strip(" ,;:?~*\"'`").rstrip("=+-/<>(![.").lstrip("=<>/)]").removeprefix(". ")
        if piece[:1] in ("(", "[", "{") and not any(sign in piece for sign in ")]}"):
            piece = piece[1:]
        if piece[-1:] in (")", "]", "}") and not any(sign in piece for sign in "([{"):
            piece = piece[:-1]
        if piece.count("(") > piece.count(")") and " (" in piece and "]" not in piece:
            piece = piece.rpartition(" (")[0]
        if piece == before:
            return piece


def _can_be_value(text: str) -> bool:
    if text[:1] in ("^", "_"):
        return False  # the power of a unit
    return any(sign.isdigit() or sign in "\\^" for sign in text) or bool(_OPERATION.search(text))
