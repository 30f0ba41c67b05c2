"""From the scores of a task's cells to estimates and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.cells import TaskRun
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN, weights
from ptmoe.scoring.metric import Metric
from ptmoe.statistics.clusters import Clusters, groups_of, numbered
from ptmoe.statistics.estimates import Comparison, Estimate, Resampling, compare, corrected

AVERAGE = "average"


@dataclass
class TaskAnalysis:
    """Estimates and comparisons of one task.

    Attributes:
        parts: {part: shares}: each data set, each data set of several parts, the domains and the average.
        estimates: {(method, column, part): estimate}.
        comparisons: of every pair of methods on the headline's average, corrected together.
        counts: examples of each data set.
    """

    run: TaskRun
    metric: Metric
    parts: dict[str, dict[str, float]]
    estimates: dict[tuple[str, str, str], Estimate]
    comparisons: list[Comparison]
    counts: dict[str, int]

    @property
    def headline(self) -> str:
        return self.metric.headline

    def label(self, column: str = "") -> str:
        """Returns what tables call a column; the headline by default."""
        return self.metric.columns[column or self.headline]

    @property
    def scored_methods(self) -> list[str]:
        """The methods that have a score in some part, in the order of the parameters."""
        return [
            method
            for method in self.run.methods
            if any(np.isfinite(self.estimates[method, self.headline, part].value) for part in self.parts)
        ]

    def estimate(self, method: str, part: str = AVERAGE, column: str = "") -> Estimate:
        return self.estimates[method, column or self.headline, part]

    def ranked(self) -> list[str]:
        """The scored methods, best average first; those without an average last."""
        values = {method: self.estimate(method).value for method in self.scored_methods}
        return sorted(values, key=lambda method: -np.inf if np.isnan(values[method]) else values[method], reverse=True)


def analyse(run: TaskRun, statistics: StatisticsParams) -> TaskAnalysis | None:
    """Computes all estimates and comparisons of a task; None when no cell has scores."""
    metric = run.metric
    if metric is None:
        return None
    aligned, clusters = align(run)
    first = aligned[run.methods[0]][metric.headline]
    counts = {dataset: values.shape[1] for dataset, values in first.items() if values.shape[1]}
    parts = parts_of(list(counts), {name: run.datasets[name]["domain"] for name in counts})
    estimates = {}
    for method in run.methods:
        for column, scores in aligned[method].items():
            name = f"{run.task}/{method}/{column}"
            resampling = Resampling(scores, statistics.confidence, statistics.resamples, name, clusters=clusters)
            estimates |= {(method, column, part): resampling.estimate(shares) for part, shares in parts.items()}
    analysis = TaskAnalysis(run, metric, parts, estimates, [], counts)
    scores = {method: aligned[method][metric.headline] for method in run.methods}
    analysis.comparisons = _compare_all(analysis, scores, clusters, statistics)
    return analysis


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


def align(run: TaskRun) -> tuple[dict[str, dict[str, dict[str, np.ndarray]]], Clusters]:
    """Puts the examples of all cells in one order.

    Returns:
        {method: {column: {dataset: [S, n]}}}, NaN where there is no score, and {dataset: [n]} cluster labels.
    """
    positions = {name: dict[str, int]() for name in run.datasets}
    groups = {name: dict[str, str | None]() for name in run.datasets}
    for result in run.cells.values():
        if result.scores is not None:
            rows = zip(result.scores["id"], result.scores["dataset"], groups_of(result.scores), strict=True)
            for key, dataset, group in rows:
                if dataset in positions:
                    positions[dataset].setdefault(key, len(positions[dataset]))
                    groups[dataset].setdefault(key, group)
    columns = list(run.metric.columns) if run.metric else []
    aligned = {}
    for method in run.methods:
        aligned[method] = {
            column: {name: np.full((len(run.seeds), len(ids)), np.nan) for name, ids in positions.items()}
            for column in columns
        }
        for row, seed in enumerate(run.seeds):
            scores = run.cells[method, seed].scores
            if scores is None or run.cells[method, seed].metric != run.metric:
                continue
            for dataset, ids in positions.items():
                inside = scores["dataset"] == dataset
                at = [ids[key] for key in scores["id"][inside]]
                for column in columns:
                    aligned[method][column][dataset][row, at] = scores[column][inside].astype(float)
    return aligned, {name: numbered(groups[name].values()) for name in positions}


def _compare_all(
    analysis: TaskAnalysis, scores: dict[str, dict[str, np.ndarray]], clusters: Clusters, statistics: StatisticsParams
) -> list[Comparison]:
    methods, shares = analysis.ranked(), analysis.parts.get(AVERAGE, {})
    comparisons = []
    for index, first in enumerate(methods):
        for second in methods[index + 1 :]:
            try:
                pair = (first, scores[first]), (second, scores[second])
                comparisons.append(compare(*pair, shares, statistics.confidence, statistics.resamples, clusters))
            except ScoringError as error:
                analysis.run.problems.append(f"{analysis.run.task}: {error}; they are not compared.")
    return corrected(comparisons)


def claims(analysis: TaskAnalysis, confidence: float) -> list[str]:
    """Returns a sentence for each method that is significantly better than others after correction."""
    sentences = []
    for method in analysis.ranked():
        beaten = [each for each in analysis.comparisons if each.beats(confidence) and _winner(each) == method]
        if beaten:
            losers = [f"{_loser(each)} (+{100 * abs(each.difference.value):.1f})" for each in beaten]
            sentences.append(f"{method} beats {_listed(losers)}.")
    return sentences


def undecided(analysis: TaskAnalysis, confidence: float) -> list[Comparison]:
    """Returns the pairs that are not significantly different after correction."""
    return [each for each in analysis.comparisons if not each.beats(confidence)]


def _winner(each: Comparison) -> str:
    return each.first if each.difference.value > 0 else each.second


def _loser(each: Comparison) -> str:
    return each.second if each.difference.value > 0 else each.first


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
