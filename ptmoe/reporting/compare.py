"""Compares two runs on the examples that both scored, in the workspace or in a revision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ptmoe.config.cells import Cell
from ptmoe.config.params import Grid, StatisticsParams
from ptmoe.examples.records import read_records
from ptmoe.reporting.revisions import read_if_there, sha_of
from ptmoe.reporting.scored import KEY, Scored, beside, by_dataset, read_finite
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import weights
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.registry import load_metric, metric_names
from ptmoe.statistics.clusters import clusters_of
from ptmoe.statistics.estimates import Comparison, compare


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a name and the scores of one or several seeds."""

    name: str
    seeds: list[Scored]


def resolve(text: str, task: str | None, grid: Grid) -> dict[str, Side]:
    """Returns the sides that a name means, by what the two sides must have in common.

    A name is a scores file (parquet, or JSON Lines of `ptmoe score --rows`), a cell (`qa-ptmoe-0`), its adapter
    folder, a method (all its seeds, every task), or a cell or method after `REVISION:`. A revision alone means
    all its cells. A revision is a Git commit, branch or tag, or the name of a DVC experiment.

    Raises:
        ScoringError: the name is unknown, or has no scores.
    """
    path = Path(text)
    if path.is_file():
        return {"": Side(text, [_read_file(path)])}
    revision, colon, name = text.rpartition(":") if ":" in text else ("", "", text)
    tasks = [task] if task else grid.tasks
    if path.is_dir():
        name = path.name
    cells = {Cell(t, m, s).name: Cell(t, m, s) for t in tasks for m in grid.methods for s in grid.seeds}
    if name in cells:
        return {cells[name].task: Side(text, [read_scores(cells[name], revision)])}
    if name in grid.methods:
        chosen = {t: [Cell(t, name, s) for s in grid.seeds] for t in tasks}
        return {t: Side(text, [read_scores(cell, revision) for cell in each]) for t, each in chosen.items()}
    if not colon and sha_of(text):
        scored = {key: found for key, cell in cells.items() if (found := read_if_there(cell, text)) is not None}
        if scored:
            return {key: Side(text, [each]) for key, each in scored.items()}
        raise ScoringError(f"revision {text!r} holds no scores of {', '.join(tasks)}; run the pipeline there")
    raise ScoringError(
        f"{text!r} is not a scores file, cell, method or revision; cells look like {next(iter(cells), 'qa-pt-0')}, "
        f"methods are {', '.join(grid.methods)}, and REVISION:CELL takes a cell of another revision"
    )


def pairs(first: dict[str, Side], second: dict[str, Side]) -> dict[str, tuple[Side, Side]]:
    """Returns what two names have in common; a scores file, which names no task, goes with the other's only entry."""
    if len(first) == len(second) == 1 and "" in {*first, *second}:
        key = max([*first, *second])
        return {key: (next(iter(first.values())), next(iter(second.values())))}
    return {key: (first[key], second[key]) for key in first if key in second}


def read_scores(cell: Cell, revision: str = "") -> Scored:
    """Reads a cell's scores, of the workspace or of a revision.

    Raises:
        ScoringError: they are missing.
    """
    if not revision:
        if not cell.scores.exists():
            raise ScoringError(f"{cell.scores} is missing; run `dvc repro score@{cell.name}`")
        return _read_file(cell.scores)
    scored = read_if_there(cell, revision)
    if scored is None:
        raise ScoringError(f"revision {revision!r} holds no scores of {cell.name}, or their file is not in the cache")
    return scored


def _read_file(path: Path) -> Scored:
    """Reads a parquet file of the pipeline, or JSON Lines of `ptmoe score --rows`, whose rows have one data set."""
    if path.suffix != ".jsonl":
        return read_finite(path)
    records = list(read_records(path))
    rows = [record.values for record in records]
    metric = _metric_of(rows, path)
    table = pd.DataFrame(
        {
            "id": [record.number("id") if "id" in record.values else str(at) for at, record in enumerate(records)],
            "dataset": "all",
            "group": [record.number("group") if record.values.get("group") is not None else None for record in records],
        }
    )
    if table["id"].duplicated().any():
        raise ScoringError(f"{path} holds an id twice; give each example one row")
    for column in metric.columns:
        table[column] = [
            _share(row.get(column), f"{path}, row {number}: {column}") for number, row in enumerate(rows, 1)
        ]
    return Scored(metric, table)


def _metric_of(rows: list[dict[str, object]], path: Path) -> Metric:
    """Returns the metric that the rows name, or else the only one whose columns they have."""
    names = [row.get("metric") for row in rows]
    if names and isinstance(name := names[0], str) and all(other == name for other in names):
        return load_metric(name)
    fitting = [
        metric for metric in map(load_metric, metric_names()) if rows and metric.columns.keys() <= rows[0].keys()
    ]
    if any(name is not None for name in names) or len(fitting) != 1:
        raise ScoringError(f"{path} must name one metric in each row; write it with `ptmoe score --rows`")
    return fitting[0]


def _share(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ScoringError(f"{where} is {value!r:.40}; allowed: a number from 0 to 1")
    return float(value)


def compare_sides(first: Side, second: Side, statistics: StatisticsParams) -> tuple[Comparison, int, str]:
    """Compares two sides; returns the comparison, how many examples only one has, and the name of the score.

    Seeds are paired in order; a side with more seeds loses the rest.

    Raises:
        ScoringError: they share no metric or no example.
    """
    metrics = {scored.metric.name: scored.metric for side in (first, second) for scored in side.seeds}
    if len(metrics) > 1:
        raise ScoringError(f"{first.name} and {second.name} have no metric in common: {' and '.join(metrics)}")
    (metric,) = metrics.values()
    num_seeds = min(len(first.seeds), len(second.seeds))
    sides = {name: side.seeds[:num_seeds] for name, side in (("A", first), ("B", second))}
    tables = {(name, seed): each.table for name, seeds in sides.items() for seed, each in enumerate(seeds)}
    everything = beside(tables, metric.headline)
    shared = everything.dropna()
    if shared.empty:
        raise ScoringError(f"{first.name} and {second.name} share no scored example")
    groups = pd.concat([each.table for side in (second, first) for each in side.seeds]).dropna(subset="group")
    group_of = groups.drop_duplicates(KEY).set_index(KEY)["group"]
    scores = by_dataset(shared)
    comparison = compare(
        (first.name, {name: values[:num_seeds] for name, values in scores.items()}),
        (second.name, {name: values[num_seeds:] for name, values in scores.items()}),
        weights(list(scores)),
        statistics.confidence,
        statistics.resamples,
        clusters_of(group_of.reindex(shared.index).reset_index()),
    )
    return comparison, len(everything) - len(shared), metric.columns[metric.headline]
