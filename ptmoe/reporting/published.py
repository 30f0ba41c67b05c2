"""The numbers that the paper prints, as data (published.yaml), beside those of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ptmoe.config.params import read_yaml
from ptmoe.reporting.analysis import AVERAGE, TaskAnalysis
from ptmoe.reporting.cells import TaskRun
from ptmoe.reporting.numbers import percents

FILE = Path(__file__).parent / "published.yaml"


@dataclass(frozen=True)
class PublishedTable:
    """One table of scores.

    Attributes:
        metric: the column of a scores file that it shows.
        base: the base model's name, without its organisation.
        datasets: the columns; `average` is the last.
        scores: each method's percentages.
    """

    table: str
    metric: str
    base: str
    datasets: list[str]
    scores: dict[str, list[float]]

    def score(self, method: str, part: str) -> float | None:
        """Returns the printed percentage, or None where the paper has none."""
        if method not in self.scores or part not in self.datasets:
            return None
        return self.scores[method][self.datasets.index(part)]


@cache
def published() -> dict[str, Any]:
    """Reads the file: parameters, tables, ablations, settings."""
    tree = read_yaml(FILE)
    return tree | {"tables": [PublishedTable(**table) for table in tree["tables"]]}


def table_for(metric: str, base: str) -> PublishedTable | None:
    """Returns the table of a metric for the given base model, or else for the paper's main one."""
    tables = [table for table in published()["tables"] if table.metric == metric]
    exact = [table for table in tables if base.endswith(table.base)]
    return next(iter(exact or tables), None)


def ablation_point(grid: str, label: str, series: str, metric: str, base: str) -> float:
    """Returns the percentage that the paper prints for a setting, NaN where it has none for the metric and base."""
    entry = published()["ablations"].get(grid, {})
    bases = entry.get("bases", [])
    if metric != entry.get("metric") or not any(base.endswith(each) for each in bases):
        return math.nan
    return entry["points"].get(label, {}).get(series, math.nan)


class PublishedRow(NamedTuple):
    """One cell that the paper and this run have, in percent; `note` says that they stand on different base models."""

    table: str
    method: str
    metric: str
    dataset: str
    published: float
    ours: float
    difference: float
    low: float
    high: float
    published_base: str
    base: str
    note: str

    @property
    def direction(self) -> str:
        """Where ours is, `up` or `down`; empty where the published score lies in our interval."""
        return "" if self.low <= self.published <= self.high else "up" if self.difference > 0 else "down"


def published_rows(analysis: TaskAnalysis) -> list[PublishedRow]:
    """Returns the cells for which both have a number.

    Our scores are cut to two decimals like the published ones. The paper rounds averages, so ours are rounded, too;
    they need all of the table's data sets.
    """
    rows = []
    base = analysis.run.base_name
    for (method, column, part), estimate in analysis.estimates.items():
        table = table_for(column, base)
        printed = table.score(method, part) if table is not None else None
        if table is None or printed is None or math.isnan(estimate.value):
            continue
        if part == AVERAGE and not set(table.datasets) <= analysis.parts.keys():
            continue
        ours, low, high = percents(estimate)
        if part != AVERAGE:
            ours = math.floor(round(estimate.value * 10_000, 6)) / 100
        note = "" if base.endswith(table.base) else "different base models"
        numbers = printed, ours, round(ours - printed, 2), low, high
        rows.append(PublishedRow(table.table, method, column, part, *numbers, table.base, base, note))
    return rows


def published_note(analyses: Sequence[TaskAnalysis]) -> str:
    """Says how many of the paper's scores the run has, and on which base models they stand."""
    count = sum(len(published_rows(analysis)) for analysis in analyses)
    if not count:
        return (
            "None of this run's data sets is one of the paper's 17, so its scores cannot be compared with the paper's. "
            "The profile paper runs them all."
        )
    base = analyses[0].run.base_name
    tables = [table_for(column, base) for analysis in analyses for column in analysis.metric.columns]
    others = sorted({table.base for table in tables if table is not None and not base.endswith(table.base)})
    note = f"The paper prints {count} of these scores, each from one run and without an interval."
    if others:
        note += f" It used {', '.join(others)} as base model; this run used {base or 'one that no adapter names'}."
    return note


def setting_differences(run: TaskRun) -> list[list[str]]:
    """Returns [method, setting, published, ours] wherever an adapter's parameters are not those of table 9."""
    rows = []
    for method, settings in published()["settings"].items():
        results = [run.cells[method, seed] for seed in run.seeds] if method in run.methods else []
        ours = next((result.adapter["params"] for result in results if "params" in result.adapter), {})
        rows += [
            [method, name, str(value), str(ours[name])]
            for name, value in settings.items()
            if name in ours and ours[name] not in (value, "auto")
        ]
    return rows
