"""`ptmoe score`: scores a file of predictions by the project's rules."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "score",
        help="score a predictions file",
        description='Scores JSON Lines {"prediction": text, "answers": [text, ..]}; a null prediction scores 0.',
    )
    parser.add_argument("metric", choices=["qa", "math"], help="qa: exact match and F1; math: accuracy")
    parser.add_argument("file", type=Path, help="JSON Lines with prediction and answers")
    parser.add_argument("--rule", choices=["mrqa", "numeric", "metamath"], help="default: mrqa (qa), numeric (math)")
    parser.add_argument("--rows", type=Path, metavar="OUT.jsonl", help="write one row of scores (0..1) per prediction")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the mean of each metric in percent."""
    import json

    from ptmoe.errors import ScoringError
    from ptmoe.scoring.jsonl import read_predictions
    from ptmoe.scoring.metrics import COLUMNS, RULES, score_one

    rows = read_predictions(args.file)
    if not rows:
        raise ScoringError(f"{args.file} holds no prediction; give one JSON object a line")
    rule = args.rule or RULES[args.metric][0]
    scores = [score_one(args.metric, rule, row["prediction"], row["answers"]) for row in rows]
    means = {name: 100 * sum(row[name] for row in scores) / len(scores) for name in COLUMNS[args.metric]}
    if args.rows:
        _write_rows(args.rows, rows, scores)
    missing = sum(row["prediction"] is None for row in rows)
    if args.json:
        rounded = {name: round(value, 6) for name, value in means.items()}
        print(json.dumps(rounded | {"examples": len(rows), "missing": missing, "rule": rule}))
        return 0
    for name, value in means.items():
        print(f"{name:16s} {value:6.2f} %")
    print(f"{'examples':16s} {len(rows):6d}" + (f"   {missing} without a prediction, scored 0" if missing else ""))
    return 0


def _write_rows(path: Path, rows: list[dict], scores: list[dict[str, float]]) -> None:
    import json

    from ptmoe.files import write_text

    named = [{key: row[key] for key in ("id", "group") if key in row} for row in rows]
    lines = [json.dumps(name | values, ensure_ascii=False) for name, values in zip(named, scores, strict=True)]
    write_text(path, "\n".join(lines) + "\n")
