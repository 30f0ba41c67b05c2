"""The official rules, restated character by character from their description, without the library's expressions."""

import itertools
import string
from fractions import Fraction


def normalised_tokens(text: str) -> list[str]:
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    pieces = ["".join(run) for _, run in itertools.groupby(kept, key=lambda sign: sign.isalnum() or sign == "_")]
    return "".join(" " if piece in ("a", "an", "the") else piece for piece in pieces).split()


def em(prediction: str, answers: list[str]) -> float:
    return float(any(normalised_tokens(prediction) == normalised_tokens(answer) for answer in answers))


def f1(prediction: str, answers: list[str]) -> float:
    best = 0.0
    for answer in answers:
        left = normalised_tokens(answer)
        given, gold, shared = normalised_tokens(prediction), len(left), 0
        for token in given:
            if token in left:
                left.remove(token)
                shared += 1
        if shared:
            best = max(best, 2 * shared / (len(given) + gold))
    return best


def first_number(text: str) -> str | None:
    """Optional sign, digits, at most one of `.,/`, digits: the leftmost, longest such run."""
    for start in range(len(text)):
        position = start + (text[start] in "+-")
        head = position
        while head < len(text) and text[head].isdecimal():
            head += 1
        tail = head + (head < len(text) and text[head] in ".,/")
        end = tail
        while end < len(text) and text[end].isdecimal():
            end += 1
        if end > tail:
            return text[start:end]
        if head > position:
            return text[start:head]
    return None


def metamath(completion: str) -> int | None:
    _, marker, after = completion.rpartition("The answer is: ")
    number = first_number(after.strip()) if marker else None
    if number is None:
        return None
    number = number.replace(",", "")
    if "/" not in number:
        return round(float(Fraction(number))) if len(number) < 309 else None
    top, bottom = number.split("/")
    if top in ("", "+", "-"):
        return None
    if bottom == "0":
        return int(top)
    return None if int(bottom) == 0 else round(float(Fraction(int(top), int(bottom))))


# --- MATH: two answers are equivalent when the same steps turn them into the same text -----------------------------


def _argument(text: str) -> tuple[str, str]:
    """Splits off the first argument of a LaTeX command: what stands in braces, else one character."""
    if not text.startswith("{"):
        return text[:1], text[1:]
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[1:place], text[place + 1 :]
    return text[1:], ""


def _in_braces(text: str, command: str, arguments: int) -> str:
    """Writes the arguments of a command in braces, also where LaTeX takes single characters: `\\frac12`, `\\sqrt3`."""
    before, found, after = text.partition(command)
    if not found:
        return text
    written = ""
    for _ in range(arguments):
        argument, after = _argument(after)
        written += "{" + argument + "}"
    return before + command + written + _in_braces(after, command, arguments)


def math_normalised(text: str) -> str:
    for gone in ("\n", "\\!", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$"):
        text = text.replace(gone, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    text = text.split("\\text{ ")[0] if text.count("\\text{ ") == 1 else text
    text = text.replace("\\%", "").replace("%", "").replace(" .", " 0.").replace("{.", "{0.")
    text = "0" + text if text.startswith(".") else text
    name, equals, value = text.partition("=")
    text = value if equals and "=" not in value and len(name) <= 2 else text
    text = _in_braces(text, "\\sqrt", 1).replace(" ", "")
    text = _in_braces(text, "\\frac", 2)
    top, slash, bottom = text.partition("/")
    whole = [part.removeprefix("-").isdigit() for part in (top, bottom)]
    text = f"\\frac{{{top}}}{{{bottom}}}" if slash and all(whole) else text
    return "\\frac{1}{2}" if text == "0.5" else text


def math_equivalent(given: str, gold: str) -> bool:
    return math_normalised(given) == math_normalised(gold)
