"""Compares two runs on the examples that both scored, in the workspace or in a revision."""

from __future__ import annotations

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ptmoe.config.cells import Cell
from ptmoe.config.params import Grid, StatisticsParams
from ptmoe.examples.records import read_records
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring import scores as scores_file
from ptmoe.scoring.averages import weights
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.registry import load_metric, metric_names
from ptmoe.statistics.clusters import groups_of, numbered
from ptmoe.statistics.estimates import Comparison, compare


@dataclass(frozen=True)
class Scored:
    """One file of scores: its metric and its columns."""

    metric: Metric
    columns: dict[str, list]


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
    if not colon and is_revision(text):
        scored = {key: columns for key, cell in cells.items() if (columns := read_if_there(cell, text)) is not None}
        if scored:
            return {key: Side(text, [columns]) for key, columns in scored.items()}
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


def is_revision(text: str) -> bool:
    """Tells whether Git or DVC knows a revision of that name."""
    return sha_of(text) is not None


def sha_of(text: str) -> str | None:
    """Returns the commit of a Git revision or DVC experiment, or None."""
    parsed = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}"], capture_output=True, text=True
    )
    if parsed.returncode == 0:
        return parsed.stdout.strip()
    return experiments().get(text)


def experiments() -> dict[str, str]:
    """Returns {name: commit} of all DVC experiments of this repository."""
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps"], capture_output=True, text=True
    )
    commits = {}
    for line in listed.stdout.splitlines():
        reference, commit = line.split()
        parts = reference.split("/")
        # refs/exps/<2 hex>/<38 hex>/<name>: an experiment; other references are DVC's own.
        if len(parts) == 5 and len(parts[2]) == 2:
            commits[parts[4]] = commit
    return commits


def read_scores(cell: Cell, revision: str = "") -> Scored:
    """Reads a cell's scores, of the workspace or of a revision.

    Raises:
        ScoringError: they are missing.
    """
    if not revision:
        if not cell.scores.exists():
            raise ScoringError(f"{cell.scores} is missing; run `dvc repro score@{cell.name}`")
        return _read_file(cell.scores)
    columns = read_if_there(cell, revision)
    if columns is None:
        raise ScoringError(f"revision {revision!r} holds no scores of {cell.name}, or their file is not in the cache")
    return columns


def read_if_there(cell: Cell, revision: str) -> Scored | None:
    """Reads a cell's scores of a revision from DVC's cache, or returns None."""
    from dvc.api import open as open_tracked
    from dvc.exceptions import DvcException

    commit = sha_of(revision)
    if commit is None:
        raise ScoringError(f"{revision!r} is neither a Git revision nor a DVC experiment; `dvc exp list` names them")
    try:
        with open_tracked(cell.scores.as_posix(), rev=commit, mode="rb") as file:
            return _scored(io.BytesIO(file.read()))
    except (DvcException, FileNotFoundError):
        return None


def _scored(source: Path | IO[bytes]) -> Scored:
    metric, table = scores_file.read_scores(source)
    for name in metric.columns:
        if not np.isfinite(table[name].to_numpy()).all():
            raise ScoringError(f"{source}: {name} is no number in some rows; score the predictions again")
    return Scored(metric, table.to_pydict())


def _read_file(path: Path) -> Scored:
    """Reads a parquet file of the pipeline, or JSON Lines of `ptmoe score --rows`, whose rows have one data set."""
    if path.suffix != ".jsonl":
        return _scored(path)
    records = list(read_records(path))
    rows = [record.values for record in records]
    metric = _metric_of(rows, path)
    columns: dict[str, list] = {
        "id": [record.number("id") if "id" in record.values else str(at) for at, record in enumerate(records)],
        "dataset": ["all"] * len(rows),
        "group": [record.number("group") if record.values.get("group") is not None else None for record in records],
    }
    if len(set(columns["id"])) < len(rows):
        raise ScoringError(f"{path} holds an id twice; give each example one row")
    for column in metric.columns:
        columns[column] = [
            _share(row.get(column), f"{path}, row {number}: {column}") for number, row in enumerate(rows, 1)
        ]
    return Scored(metric, columns)


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
    tables = [[_by_key(seed) for seed in side.seeds[:num_seeds]] for side in (first, second)]
    everything = [set(table) for side in tables for table in side]
    shared = [key for key in tables[0][0] if all(key in keys for keys in everything)]
    if not shared:
        raise ScoringError(f"{first.name} and {second.name} share no scored example")
    datasets = list(dict.fromkeys(dataset for dataset, _ in shared))
    scores = [
        {
            name: np.array([[table[key] for key in shared if key[0] == name] for table in side], float)
            for name in datasets
        }
        for side in tables
    ]
    groups = _group_by_key(first) | _group_by_key(second)
    clusters = {name: numbered(groups.get(key) for key in shared if key[0] == name) for name in datasets}
    comparison = compare(
        (first.name, scores[0]),
        (second.name, scores[1]),
        weights(datasets),
        statistics.confidence,
        statistics.resamples,
        clusters,
    )
    return comparison, len(set.union(*everything)) - len(shared), metric.columns[metric.headline]


def _by_key(scored: Scored) -> dict[tuple[str, str], float]:
    """Returns the headline's number of each (data set, id)."""
    return dict(zip(_keys(scored), scored.columns[scored.metric.headline], strict=True))


def _keys(scored: Scored) -> list[tuple[str, str]]:
    return list(zip(scored.columns["dataset"], scored.columns["id"], strict=True))


def _group_by_key(side: Side) -> dict[tuple[str, str], str]:
    """Returns the groups that any seed's scores name."""
    return {
        key: group
        for seed in side.seeds
        for key, group in zip(_keys(seed), groups_of(seed.columns), strict=True)
        if group is not None
    }
