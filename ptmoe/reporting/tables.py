"""The report's tables as CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptmoe.files import write_text
from ptmoe.reporting.cells import TaskRun
from ptmoe.scoring.run import summary


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes rows with Unix line ends; floats with at most six significant digits, None and NaN as nothing."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    write_text(path, buffer.getvalue())


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table whose first column is text and whose others are numbers."""
    align = [":--", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, align, *rows])


def write_leaderboard(runs: Sequence[TaskRun], out: Path) -> None:
    """Writes leaderboard.md and leaderboard.csv: each method's averages over the seeds."""
    parts, rows = [], []
    for run in runs:
        header: list[str] = []
        lines = []
        for method in run.methods:
            numbers = _mean_summary(run, method)
            header = header or list(numbers)
            lines.append([method, *(f"{value:.2f}" for value in numbers.values())])
            rows += [[run.task, method, name, value] for name, value in numbers.items()]
        parts.append(
            f"**{run.task}**\n\n" + markdown_table(["method", *header], [row for row in lines if len(row) > 1])
        )
    write_text(out / "leaderboard.md", "\n".join(parts))
    write_csv(out / "leaderboard.csv", ["task", "method", "metric", "score"], rows)


def _mean_summary(run: TaskRun, method: str) -> dict[str, float]:
    domains = {name: entry["domain"] for name, entry in run.datasets.items()}
    results = [run.cells[method, seed].scores for seed in run.seeds]
    numbers = [summary(run.metric, scores, domains) for scores in results if scores is not None and run.metric]
    return {name: float(np.mean([each[name] for each in numbers])) for name in (numbers[0] if numbers else {})}


def write_curves(runs: Sequence[TaskRun], path: Path) -> None:
    """Writes curves.csv: a row for each logged loss (task, method, seed, step, split, loss)."""
    rows = []
    for run in runs:
        for (method, seed), result in run.cells.items():
            for split, column in (("train", "loss"), ("validation", "validation_loss")):
                steps, losses = result.log.get("step", []), result.log.get(column, [])
                rows += [
                    [run.task, method, seed, int(step), split, float(loss)]
                    for step, loss in zip(steps, losses, strict=False)
                    if not np.isnan(loss)
                ]
    write_csv(path, ["task", "method", "seed", "step", "split", "loss"], rows)
