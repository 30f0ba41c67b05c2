"""Tasks that arrived one after the other: what each learner kept, with intervals, as a table, a file and a figure.

R[i, j] is the score on task j after task i was learnt, of T tasks. Average accuracy is the mean of R[T, j] over j;
backward transfer that of R[T, j] - R[j, j] over j < T (Lopez-Paz & Ranzato 2017); forgetting that of the highest
R[i, j] before the last step, minus R[T, j] (Chaudhry et al. 2018).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting import figures
from ptmoe.reporting.analysis import align
from ptmoe.reporting.cells import CellResult, TaskRun
from ptmoe.reporting.costs import as_text
from ptmoe.scoring.averages import weights
from ptmoe.statistics.clusters import Clusters
from ptmoe.statistics.estimates import Comparison, Estimate, Resampling, compare, corrected

Scores = dict[str, np.ndarray]
SUMMARY = {"average_accuracy": "average", "backward_transfer": "backward transfer", "forgetting": "forgetting"}


@dataclass(frozen=True)
class Learned:
    """The scores of all learners, 0..1.

    Attributes:
        scores: {learner: a list by task i of a list by task j of {data set: [S, n]}}, each example's headline score on
            task j after task i.
        clusters: by task j, {data set: [n]} labels.
        labels: what tables call the headline of each task.
    """

    tasks: list[str]
    scores: dict[str, list[list[Scores]]]
    clusters: list[Clusters]
    labels: list[str]

    @classmethod
    def of(cls, runs: Sequence[TaskRun], learners: Sequence[str]) -> Learned:
        """Takes one run a task j, whose methods are named by `step_name`."""
        aligned = [align(run) for run in runs]
        headlines = [run.metric.headline if run.metric else "" for run in runs]

        def after(step: str) -> list[Scores]:
            """Returns the scores on every task; a data set without rows is left out."""
            found = [each[step][column] for (each, _), column in zip(aligned, headlines, strict=True)]
            return [{name: values for name, values in scores.items() if values.size} for scores in found]

        scores = {each: [after(step_name(each, step)) for step in range(len(runs))] for each in learners}
        labels = [run.metric.columns[column] if run.metric else "" for run, column in zip(runs, headlines, strict=True)]
        return cls([run.task for run in runs], scores, [clusters for _, clusters in aligned], labels)

    def matrix(self, learner: str) -> np.ndarray:
        """Returns R [T, T, S]."""
        return np.array([[_mean(scores) for scores in row] for row in self.scores[learner]])


def step_name(learner: str, step: int) -> str:
    """Names a learner after the task number `step`."""
    return f"{learner}@{step}"


def task_run(task: str, results: dict[tuple[str, int], CellResult], datasets: dict[str, Any]) -> TaskRun:
    """Puts the scores of all learners, steps and seeds on one task together."""
    metric = next(result.metric for result in results.values())
    methods, seeds = dict.fromkeys(name for name, _ in results), dict.fromkeys(seed for _, seed in results)
    return TaskRun(task, list(methods), list(seeds), metric, datasets, [], results, [])


def _mean(scores: Scores) -> np.ndarray:
    """Returns [S] the score of each seed on one task."""
    return sum((share * scores[name].mean(axis=1) for name, share in weights(list(scores)).items()), np.zeros(1))


def estimates(learned: Learned, learner: str, statistics: StatisticsParams) -> dict[str, Any]:
    """Returns the matrix as `R` (a list by task i of a list by task j) and the measures of `SUMMARY`, all estimates.

    Forgetting takes the best earlier step of each seed and task as it was observed: it is not drawn again.
    """
    scores, matrix, tasks = learned.scores[learner], learned.matrix(learner), range(len(learned.tasks))
    last, seeds = len(tasks) - 1, range(matrix.shape[2])
    best = matrix[:last].argmax(axis=0)

    def estimate(name: str, parts: dict[int, Scores], paired: bool) -> Estimate:
        flat, shares, clusters = _flat(learned, parts)
        draws = (statistics.confidence, statistics.resamples, f"{learner}/{name}", paired, clusters)
        return Resampling(flat, *draws).estimate(shares)

    def lost(j: int, step_of: Sequence[int] | np.ndarray) -> Scores:
        """Returns the last scores on task j minus those after another step, which each seed chooses."""
        return {
            name: values - np.stack([scores[step_of[seed]][j][name][seed] for seed in seeds])
            for name, values in scores[last][j].items()
        }

    backward = estimate("bwt", {j: lost(j, [j] * len(seeds)) for j in tasks[:last]}, True)
    kept = estimate("forgetting", {j: lost(j, best[j]) for j in tasks[:last]}, True)
    return {
        "R": [[estimate(f"{i}/{j}", {j: scores[i][j]}, False) for j in tasks] for i in tasks],
        "average_accuracy": estimate("average", dict(enumerate(scores[last])), False),
        "backward_transfer": backward,
        "forgetting": Estimate(-kept.value, -kept.high, -kept.low, kept.warning),
    }


def _flat(learned: Learned, parts: dict[int, Scores]) -> tuple[Scores, dict[str, float], Clusters]:
    """Returns scores, shares of their mean over tasks, and clusters by data set, of all tasks together."""
    flat, shares, clusters = {}, {}, {}
    for j, scores in parts.items():
        for name, share in weights(list(scores)).items():
            key = f"{learned.tasks[j]}: {name}"
            flat[key], shares[key], clusters[key] = scores[name], share / len(parts), learned.clusters[j][name]
    return flat, shares, clusters


def compare_learners(learned: Learned, statistics: StatisticsParams) -> list[Comparison]:
    """Compares the average accuracy of every two learners; p-values are corrected for their number."""
    step = len(learned.tasks) - 1
    last = {learner: _flat(learned, dict(enumerate(scores[step]))) for learner, scores in learned.scores.items()}
    comparisons = []
    for first, second in itertools.combinations(last, 2):
        (ours, shares, clusters), (theirs, _, _) = last[first], last[second]
        pair = (first, ours), (second, theirs)
        comparisons.append(compare(*pair, shares, statistics.confidence, statistics.resamples, clusters))
    return corrected(comparisons)


def tables(learned: Learned, measured: dict[str, dict[str, Any]]) -> str:
    """Returns the matrices and the measures in percent, for a terminal."""
    heads = [f"{task} {label}" for task, label in zip(learned.tasks, learned.labels, strict=True)]
    matrix = [["learner", "after", *heads]]
    summary = [["learner", "", *SUMMARY.values()]]
    for learner, each in measured.items():
        matrix += [[learner, task, *map(_shown, row)] for task, row in zip(learned.tasks, each["R"], strict=True)]
        summary.append([learner, "", *(_shown(each[name]) for name in SUMMARY)])
    return f"{as_text(matrix)}\n\n{as_text(summary)}"


def _shown(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def as_json(value: Any) -> Any:
    """Returns estimates, alone or in lists and mappings, as mappings in percent with two decimals."""
    if isinstance(value, Estimate):
        return {k: v if isinstance(v, str) else round(100 * v, 2) for k, v in asdict(value).items()}
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    return [as_json(each) for each in value] if isinstance(value, list) else value


@figures.styled
def figure(learned: Learned, measured: dict[str, dict[str, Any]]) -> Figure:
    """One panel a task: the score after each step with its interval; a dotted line marks the step of the task."""
    drawn = figures.blank(3.0 * len(learned.tasks) + 1.6, 3.0)
    steps = np.arange(len(learned.tasks))
    panels = drawn.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for j, axes in enumerate(panels):
        for place, (learner, each) in enumerate(measured.items()):
            value, low, high = 100 * np.array([(e.value, e.low, e.high) for e in (row[j] for row in each["R"])]).T
            shift = 0.06 * (place - (len(measured) - 1) / 2)
            colour, label = figures.PALETTE[(place + 1) % len(figures.PALETTE)], learner if j == 0 else None
            axes.errorbar(
                steps + shift, value, yerr=[value - low, high - value], fmt="o-", color=colour, capsize=3, label=label
            )
        axes.axvline(j, color=figures.INK, linestyle=":", linewidth=0.8)
        axes.set_xticks(steps, learned.tasks)
        axes.set(xlabel="after learning", ylabel=f"{learned.labels[j]} (%)", title=learned.tasks[j], ylim=(-3, 103))
        axes.grid(axis="y")
    drawn.legend(loc="outside right upper")
    return drawn
