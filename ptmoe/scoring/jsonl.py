"""Predictions of any origin: JSON Lines with `prediction` and `answers`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ptmoe.runtime.errors import ScoringError
from ptmoe.runtime.strict_json import check_characters

# Some rules take time that grows with the square of the length.
LONGEST = 100_000


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """Reads rows {"prediction", "answers", "id"?, "group"?}; a prediction of null or NaN is None, numbers become text.

    Raises:
        ScoringError: the file is missing or a line is not such a row; the message gives the line number.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ScoringError(f"{path} cannot be read as UTF-8 text: {error}") from None
    return [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)  # not parse_json: NaN is allowed
        check_characters(row, line)
    except (ValueError, RecursionError) as error:
        raise ScoringError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(row, dict) or not {"prediction", "answers"} <= row.keys():
        raise ScoringError(f'{where}: needs {{"prediction": text, "answers": [text, ..]}}, got {line[:80]}')
    answers = row["answers"]
    texts = [_text(answer) for answer in answers] if isinstance(answers, list) else []
    if not texts or None in texts:
        raise ScoringError(f"{where}: answers must be a list of at least one text, got {json.dumps(answers)[:80]}")
    prediction = row["prediction"]
    longest = max(len(text) for text in (*texts, prediction) if isinstance(text, str))
    if longest > LONGEST:
        raise ScoringError(f"{where}: a text of {longest:,} characters; allowed: up to {LONGEST:,}")
    if _text(prediction) is None and prediction is not None and not isinstance(prediction, float):
        raise ScoringError(f"{where}: prediction must be a text or null, got {json.dumps(prediction)[:80]}")
    named = {key: row[key] for key in ("id", "group") if key in row}
    return named | {"prediction": _text(prediction), "answers": texts}


def _text(value: Any) -> str | None:
    """Returns a text or number as text, and None for anything else (NaN and infinity, too)."""
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return str(value) if is_number else None
