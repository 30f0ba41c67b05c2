"""From the scores of a task's cells to estimates and comparisons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.cells import TaskRun
from ptmoe.reporting.forced import ForcedExperts, forced_experts
from ptmoe.reporting.scored import KEY, beside, by_dataset
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN, weights
from ptmoe.scoring.metric import Metric
from ptmoe.statistics.clusters import Clusters, clusters_of
from ptmoe.statistics.estimates import Comparison, Estimate, Resampling, compare, corrected

AVERAGE = "average"


@dataclass
class TaskAnalysis:
    """Estimates and comparisons of one task.

    Attributes:
        ids: {data set: [n]} in the order in which the cells name them.
        scores: {column: {data set: [methods, S, n]}}, NaN where there is no score.
        clusters: {data set: [n]} labels.
        parts: {part: shares}: each data set, each data set of several parts, the domains and the average.
        estimates: {(method, column, part): estimate}.
        comparisons: of every pair of methods on the headline's average, corrected together.
    """

    run: TaskRun
    metric: Metric
    statistics: StatisticsParams
    ids: dict[str, list[str]]
    scores: dict[str, dict[str, np.ndarray]]
    clusters: Clusters
    parts: dict[str, dict[str, float]]
    estimates: dict[tuple[str, str, str], Estimate]
    comparisons: list[Comparison]

    @property
    def headline(self) -> str:
        return self.metric.headline

    @property
    def counts(self) -> dict[str, int]:
        """The examples of each data set."""
        return {name: len(ids) for name, ids in self.ids.items()}

    @property
    def domains(self) -> list[str]:
        """The domains that have a data set."""
        return [part for part in (IN_DOMAIN, OUT_OF_DOMAIN) if part in self.parts]

    @cached_property
    def forced(self) -> list[ForcedExperts]:
        """The methods whose experts were forced on every example."""
        return forced_experts(self.run, self.headline, self.parts[AVERAGE], self.statistics) if self.parts else []

    def label(self, column: str = "") -> str:
        """Returns what tables call a column; the headline by default."""
        return self.metric.columns[column or self.headline]

    @property
    def scored_methods(self) -> list[str]:
        """The methods that have a score in some part, in the order of the parameters."""
        return [
            method
            for method in self.run.methods
            if any(np.isfinite(self.estimate(method, part).value) for part in self.parts)
        ]

    def estimate(self, method: str, part: str = AVERAGE, column: str = "") -> Estimate:
        return self.estimates[method, column or self.headline, part]

    def of_method(self, method: str, column: str) -> dict[str, np.ndarray]:
        """Returns {data set: [S, n]} scores."""
        place = self.run.methods.index(method)
        return {name: values[place] for name, values in self.scores[column].items()}

    def ranked(self) -> list[str]:
        """The scored methods, best average first; those without an average last."""
        values = {method: self.estimate(method).value for method in self.scored_methods}
        return sorted(values, key=lambda method: -np.inf if np.isnan(values[method]) else values[method], reverse=True)

    def claims(self) -> list[str]:
        """Returns a sentence for each method that is significantly better than others after correction."""
        beaten: dict[str, list[str]] = {}
        for each in self.comparisons:
            if each.beats(self.statistics.confidence):
                winner, loser = (each.first, each.second) if each.difference.value > 0 else (each.second, each.first)
                beaten.setdefault(winner, []).append(f"{loser} (+{100 * abs(each.difference.value):.1f})")
        return [f"{method} beats {_listed(beaten[method])}." for method in self.ranked() if method in beaten]


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def analyse(run: TaskRun, statistics: StatisticsParams) -> TaskAnalysis | None:
    """Computes all estimates and comparisons of a task; None when no cell has scores."""
    if (metric := run.metric) is None:
        return None
    rows = pd.concat(run.scored.values()).drop_duplicates(KEY)
    found = {str(name): part for name, part in rows.groupby("dataset")}
    ids = {name: found[name]["id"].tolist() for name in run.datasets if name in found}
    scores = {column: _scores(run, column, rows) for column in metric.columns}
    parts = parts_of(list(ids), {name: run.datasets[name]["domain"] for name in ids})
    analysis = TaskAnalysis(run, metric, statistics, ids, scores, clusters_of(rows), parts, {}, [])
    options = statistics.confidence, statistics.resamples
    for method, column in itertools.product(run.methods, metric.columns):
        name, clusters = f"{run.task}/{method}/{column}", analysis.clusters
        resampling = Resampling(analysis.of_method(method, column), *options, name, clusters=clusters)
        analysis.estimates |= {(method, column, part): resampling.estimate(parts[part]) for part in parts}
    for pair in itertools.combinations(analysis.ranked(), 2):
        first, second = ((method, analysis.of_method(method, metric.headline)) for method in pair)
        try:
            analysis.comparisons.append(compare(first, second, parts[AVERAGE], *options, analysis.clusters))
        except ScoringError as error:
            run.problems.append(f"{run.task}: {error}; they are not compared.")
    analysis.comparisons = corrected(analysis.comparisons)
    return analysis


def _scores(run: TaskRun, column: str, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns {data set: [methods, S, n]} in the order of `rows`."""
    cells = pd.MultiIndex.from_product([run.methods, run.seeds])
    wide = beside(run.scored, column).reindex(index=rows.set_index(KEY).index, columns=cells)
    shape = len(run.methods), len(run.seeds), -1
    return {name: values.reshape(shape) for name, values in by_dataset(wide).items() if name in run.datasets}


def parts_of(datasets: Sequence[str], domains: dict[str, str]) -> dict[str, dict[str, float]]:
    """Returns the columns of a table, with each data set's share of them."""
    parts: dict[str, dict[str, float]] = {}
    for name in datasets:
        parts[name] = {name: 1.0}
        family = name.partition("/")[0]
        siblings = [other for other in datasets if other.startswith(f"{family}/")]
        if siblings and name == siblings[-1]:
            parts[family] = weights(siblings)
    for domain in (IN_DOMAIN, OUT_OF_DOMAIN):
        inside = [name for name in datasets if domains[name] == domain]
        if inside:
            parts[domain] = weights(inside)
    if datasets:
        parts[AVERAGE] = weights(datasets)
    return parts
