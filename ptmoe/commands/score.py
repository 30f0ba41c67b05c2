"""`ptmoe score`: score a predictions file.

Scores JSON Lines {"prediction": text, "answers": [text, ..]}; a null prediction scores 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("metric", help="a file of ptmoe/metrics, e.g. qa (exact match and F1) or math (accuracy)")
    parser.add_argument("file", type=Path, help="JSON Lines with prediction and answers")
    parser.add_argument("--rule", help="how answers are compared, e.g. metamath for math (default: the metric's first)")
    parser.add_argument("--rows", type=Path, metavar="OUT.jsonl", help="write one row of scores (0..1) per prediction")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Prints the mean of each metric in percent."""
    import json

    from ptmoe.runtime.errors import ScoringError
    from ptmoe.scoring.jsonl import read_predictions
    from ptmoe.scoring.registry import load_metric

    metric = load_metric(args.metric)
    rule = args.rule or metric.rules[0]
    metric.check_rule(rule)
    rows = read_predictions(args.file)
    if not rows:
        raise ScoringError(f"{args.file} holds no prediction; give one JSON object a line")
    scores = [metric.score_one(row["prediction"], row["answers"], rule) for row in rows]
    means = {name: 100 * sum(row[name] for row in scores) / len(scores) for name in metric.columns}
    if args.rows:
        named = [{key: row[key] for key in ("id", "group") if key in row} for row in rows]
        lines = [{**name, **score} for name, score in zip(named, scores, strict=True)]
        _write_rows(args.rows, lines)
    missing = sum(row["prediction"] is None for row in rows)
    if args.json:
        rounded = {name: round(value, 6) for name, value in means.items()}
        print(json.dumps(rounded | {"examples": len(rows), "missing": missing, "rule": rule}))
        return
    for name, value in means.items():
        print(f"{name:16s} {value:6.2f} %")
    print(f"{'examples':16s} {len(rows):6d}" + (f"   {missing} without a prediction, scored 0" if missing else ""))


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    import json

    from ptmoe.runtime.files import write_text

    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
