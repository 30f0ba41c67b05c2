"""JSON from outside: what Python's reader lets through and JSON does not have is refused here."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_finite)


def parse_json(data: bytes) -> Any:
    """Parses one whole JSON document in UTF-8.

    Raises:
        ValueError: it is not JSON, or holds NaN, an infinity, half a character (a lone surrogate), a number of over
            4,300 digits or very deep nesting; the message is one line.
    """
    try:
        text = data.decode()
        value = DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise ValueError(f"invalid UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ValueError("invalid JSON (nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"invalid JSON ({error})") from None
    check_characters(value, text)
    return value


def check_characters(value: Any, text: str) -> None:
    """Raises `ValueError` when a parsed `value` holds half a character, which only an escape in its text can bring."""
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("half a character (a lone surrogate) in a string") from None
