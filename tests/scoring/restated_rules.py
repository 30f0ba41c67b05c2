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
