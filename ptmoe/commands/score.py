"""`ptmoe score`: score a predictions file.

Scores JSON Lines {"prediction": text, "answers": [text, ..]}; a null prediction scores 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("metric", help="a file of ptmoe/metrics, e.g. qa (exact match and F1) or math (accuracy)")
    parser.add_argument("file", type=Path, help="JSON Lines with prediction and answers")
    parser.add_argument("--rule", help="how answers are compared, e.g. metamath for math (default: the metric's first)")
    parser.add_argument("--rows", type=Path, metavar="OUT.jsonl", help="write one row of scores (0..1) per prediction")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Prints the mean of each metric in percent."""
    from ptmoe.runtime.errors import ScoringError
    from ptmoe.runtime.files import write_text
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
        lines = [json.dumps({**name, **score}, ensure_ascii=False) for name, score in zip(named, scores, strict=True)]
        write_text(args.rows, "".join(f"{line}\n" for line in lines))
    missing = sum(row["prediction"] is None for row in rows)
    if args.json:
        rounded = {name: round(value, 6) for name, value in means.items()}
        print(json.dumps(rounded | {"examples": len(rows), "missing": missing, "rule": rule}))
        return
    for name, value in means.items():
        print(f"{name:16s} {value:6.2f} %")
    print(f"{'examples':16s} {len(rows):6d}" + (f"   {missing} without a prediction, scored 0" if missing else ""))
