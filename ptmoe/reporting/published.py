"""The numbers that the paper prints, as data (published.yaml)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ptmoe.config.params import read_yaml

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
