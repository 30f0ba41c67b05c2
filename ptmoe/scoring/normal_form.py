"""One spelling for answers that mean the same: ASCII signs, LaTeX of one kind, no units, sizes or currency.

In order:

1. signs: every minus and dash is `-`, every digit ASCII, `x²` is `x^{2}`, `½` is `\\frac{1}{2}`, `≤` is `\\le`,
   `，` is `,`; blanks of any width are one blank;
2. LaTeX layout: no `\\left`, `\\displaystyle`, `\\,`; `\\dfrac`, `\\tfrac`, `\\cfrac`, `\\frac12` are `\\frac{..}{..}`;
3. `\\text{..}` and its kin: `or` and `and` are commas, a lone text is its content, any other is a unit and goes, with
   its power: `15\\mbox{ cm}^2` is `15`;
4. no currency, percent or degrees; a unit of one or two letters goes after a number and a blank: `5 m/s`;
5. numbers: `- 5` is `-5`, `7th` is `7`, `1.5 \\times 10^{3}` is `1.5e3`, `1{,}234` and `1 234` with thin blanks are
   `1,234`, `4210_5` is `4210_{5}`;
6. no full stop at the end, no brackets around the whole of a single value.

Each expression is linear in the length of the text, or is bounded by `LONGEST`.
"""

from __future__ import annotations

import re
import unicodedata

# Answers are shorter; longer texts are cut here, so that no expression meets a long one.
LONGEST = 1000

_SIGNS = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u2018\u2019\u2032", "'")
    | dict.fromkeys("\u201c\u201d", '"')
    | {"\uff0c": ",", "\u3001": ",", "\uff1b": ";", "\uff1a": ":", "\u3002": ".", "\uff0e": ".", "\uff05": "%"}
    | {"\u066b": ".", "\u066c": ",", "\u066a": "%", "\u2044": "/", "\u2215": "/", "\u00f7": "/", "\u2236": ":"}
    | {"\uff08": "(", "\uff09": ")", "\uff3b": "[", "\uff3d": "]", "\uff1d": "=", "\uff0b": "+", "\uff0a": "*"}
    | {"\u00d7": r"\times ", "\u00b7": r"\cdot ", "\u22c5": r"\cdot ", "\u2217": "*", "\u221a": r"\sqrt"}
    | {"\u03c0": r"\pi ", "\u221e": r"\infty ", "\u2264": r"\le ", "\u2265": r"\ge ", "\u2260": r"\ne "}
    | {"\u222a": r"\cup ", "\u2229": r"\cap ", "\u2208": r"\in ", "\u00b1": r"\pm ", "\u2205": r"\emptyset "}
    | {"\u2248": r"\approx ", "\u03b8": r"\theta ", "\u00b0": r"^\circ ", "\u00ba": r"^\circ ", "\u2220": r"\angle "}
    | {"\u20ac": " ", "\u00a3": " ", "\u00a5": " ", "\u20b9": " ", "\uff04": "$", "\u200b": "", "\ufeff": ""}
)
# Thin and unbreakable blanks group digits; the plain blank does not.
_GROUPED = re.compile("(?<=\\d)[\u00a0\u2009\u202f\u2007](?=\\d{3}(?!\\d))")
_ROOT = re.compile("\u221a\\s?(\\d+|[A-Za-z])")
_IN_WORDS = [
    (re.compile(r"(?<=\d) \(?(?:in )?base[ -](\d{1,3})\b\)?"), r"_{\1}"),
    (re.compile(r"(?<![\d.,/])(\d{1,9}) and (\d{1,9} ?/ ?\d{1,9})(?![\d/])"), r"\1 \2"),
    (re.compile(r"<<[^<>]*>>"), ""),  # GSM8K's calculator
]
_RAISED = re.compile("[\u00b2\u00b3\u00b9\u2070\u2074-\u207b]+")
_LOWERED = re.compile("[\u2080-\u208b]+")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_CURRENCY_AFTER_MINUS = re.compile("-(?=[\u20ac\u00a3\u00a5\u20b9$]) ?.\\s*|-\\s*\\\\\\$\\s*")

_LAYOUT = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits)(?![A-Za-z])\s?", ""),
        (r"(\\\\)\s?\[\d+(?:\.\d+)?[a-z]{2}\]", r"\1 "),
        (r"\{,\}|,\s?\\[!,]\s?|\\!\s?(?=,)", ","),
        (r"\\!|(?<=\d)\\,(?=\d{3})", ""),
        (r"(?<!\\)\\[,;: ]|~|\\q?quad(?![A-Za-z])", " "),
        (r"(?<=\d)\s?\^?\s?\{?\s?\\(?:text|mbox|mathrm)\s?\{\s?(?:st|nd|rd|th)\s?\}\s?\}?", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\frac\s?(\w)\s?(\w)", r"\\frac{\1}{\2}"),
        (r"\\frac\s?(\w)\s?\{", r"\\frac{\1}{"),
        (r"(\\frac\s?\{[^{}]{0,100}\})\s?(\w)", r"\1{\2}"),
        (r"\\frac\s\{", r"\\frac{"),
        (r"(\\frac\{[^{}]{0,100}\})\s\{", r"\1{"),
        (r"\\sqrt\s?(\w)", r"\\sqrt{\1}"),
        (r"\\leq(?![A-Za-z])|<=", r"\\le "),
        (r"\\geq(?![A-Za-z])|>=", r"\\ge "),
        (r"\\neq(?![A-Za-z])|!=", r"\\ne "),
        (r"\\(?:varnothing)(?![A-Za-z])", r"\\emptyset"),
        (r"\*\*", "^"),
        (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
        (r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|log|ln)(?![A-Za-z])", r"\\\1 "),
        (r"(?<![\\A-Za-z])sqrt(?=[\s({\d])", r"\\sqrt"),
        (r"\\sqrt\s?\(([^()]{0,100})\)", r"\\sqrt{\1}"),
    ]
]
_TEXT = re.compile(
    r"\\(?P<command>text(?:bf|it|rm|normal)?|mbox|hbox|math(?:rm|bf|it|sf)|boldsymbol|operatorname)\s?"
    r"\{(?P<content>[^{}]*)\}(?P<power>\s?\^\s?(?:\d|\{\s?\d\s?\}))?"
)
_JOINING = re.compile(r"[\s,]*(?:and|or|,)[\s,]*")
# Upright letters that are read as the letters themselves.
_UPRIGHT = {"i", "e", "d", "lcm", "gcd", "sin", "cos", "tan", "log", "ln"}
_SHORT_UNIT = r"(?:[kcm]?m|k?g|m?[lL]|m?s|min|h|hrs?|ft|in|lbs?|oz|[JNWVA]|[kK]?Pa|mph|K|mol)"
_UNITS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\?[$%]", ""),
        (r"\^\s?\{?\s?\\(?:circ|degree)\s?\}?(?:\s?[CF](?![A-Za-z]))?|\\degree(?![A-Za-z])", ""),
        (rf"(?<=\d)\s{_SHORT_UNIT}(?:\s?/\s?{_SHORT_UNIT})?(?:\s?\^\s?\{{?-?[23]\}}?)?\s?\.?$", ""),
        (r"(?<=\d)(?:\^\{?)?(?:st|nd|rd|th)\}?(?![A-Za-z])", ""),
        (
            r"(?<![\w.])(\d[\d,]*(?:\.\d+)?|\.\d+)\s?(?:\\times|\\cdot|\*|x)\s?10\s?\^\s?(?:\{\s?([-+]?\s?\d{1,2})\s?\}"
            r"|\(([-+]?\d{1,2})\)|([-+]?\d{1,2})(?!\d))",
            lambda match: f"{match[1]}e{(match[2] or match[3] or match[4]).replace(' ', '')}",
        ),
        (r"(?<=\d)_\s?\{?\s?(\d{1,3})\s?\}?(?!\d)", r"_{\1}"),
        (r"(^|[(\[{,;=]\s?)([-+])\s(?=[\d.\\A-Za-z])", r"\1\2"),
        (r"^(-?)\((\d+\s?/\s?\d+)\)$", r"\1\2"),
    ]
]


def plain_signs(text: str) -> str:
    """Returns a text in ASCII as far as its signs have a twin there, each run of blanks as one blank."""
    if not text.isascii():
        text = _ROOT.sub(r"\\sqrt{\1}", _GROUPED.sub(",", text))
        text = _CURRENCY_AFTER_MINUS.sub("-", text.replace("\u2212", "-").replace("\u2013", "-"))
        text = _RAISED.sub(lambda run: "^{" + unicodedata.normalize("NFKC", run[0]).replace("\u2212", "-") + "}", text)
        text = _LOWERED.sub(lambda run: "_{" + unicodedata.normalize("NFKC", run[0]).replace("\u2212", "-") + "}", text)
        text = _FOREIGN.sub(_twin, text.translate(_SIGNS))
    return _rewritten(" ".join(text.split()), _IN_WORDS)


def _twin(sign: re.Match[str]) -> str:
    digit = unicodedata.decimal(sign[0], None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(sign[0]) == "So":
        return " "  # pictures
    top, slash, bottom = unicodedata.normalize("NFKC", sign[0]).partition("\u2044")
    return f"\\frac{{{top}}}{{{bottom}}}" if slash and bottom else sign[0]


def normal_form(text: str) -> str:
    """Returns the normal form of the text of one answer."""
    text = _CURRENCY_AFTER_MINUS.sub("-", plain_signs(text[:LONGEST])[:LONGEST])
    text = _rewritten(text, _LAYOUT)
    text = _TEXT.sub(_read_text, lone_text(text))
    text = " ".join(_rewritten(text, _UNITS).split())
    return unwrapped(text.rstrip(" .,;:").strip())


def _rewritten(text: str, rules: list) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def lone_text(text: str) -> str:
    """Returns what `\\text{..}` holds where it is the whole text, else the text."""
    alone = _TEXT.fullmatch(text.strip(" .$"))
    return alone["content"].strip() if alone else text


def _read_text(match: re.Match[str]) -> str:
    content = match["content"].strip()
    if _JOINING.fullmatch(content):
        return ", "
    is_value = match.string[: match.start()].rstrip().endswith("=")
    if is_value or content in _UPRIGHT or "\\" in content or any(sign.isdigit() for sign in content):
        return content + (match["power"] or "")
    return " "


def unwrapped(text: str) -> str:
    """Takes away brackets around the whole of a text that holds one value: `(5)`, `[x^2]`, `{5}`."""
    while len(text) > 2 and text[0] + text[-1] in ("()", "[]", "{}") and closing(text) == len(text) - 1:
        inside = text[1:-1].strip()
        if len(split(inside, ",;")) != 1 or not inside:
            break
        text = inside
    return text


def closing(text: str) -> int:
    """Returns where the bracket that a text begins with ends, of whatever kind the closing one is; -1 without one."""
    depth = 0
    for position, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return position
    return -1


def split(text: str, signs: str) -> list[str]:
    """Splits a text at the given signs outside all brackets."""
    pieces, depth, begin = [], 0, 0
    for position, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and sign in signs:
            pieces.append(text[begin:position].strip())
            begin = position + 1
    return [*pieces, text[begin:].strip()]
