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
from ptmoe.reporting.numbers import as_text
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


def estimates(learned: Learned, learner: str, statistics: StatisticsParams) -> dict[str, Any]:
    """Returns the matrix as `R` (a list by task i of a list by task j) and the measures of `SUMMARY`, all estimates.

    Forgetting takes the best earlier step of each seed and task as it was observed: it is not drawn again.
    """
    scores, tasks = learned.scores[learner], range(len(learned.tasks))
    last, matrix = len(tasks) - 1, np.array([[_by_seed(each) for each in row] for row in scores])
    best = matrix[:last].argmax(axis=0)

    def estimate(name: str, parts: dict[int, Scores], paired: bool) -> Estimate:
        flat, shares, clusters = _flat(learned, parts)
        draws = (statistics.confidence, statistics.resamples, f"{learner}/{name}", paired, clusters)
        return Resampling(flat, *draws).estimate(shares)

    def lost(j: int, step_of: Sequence[int] | np.ndarray) -> Scores:
        """Returns the last scores on task j minus those after another step, which each seed chooses."""
        return {
            name: values - np.stack([scores[step][j][name][seed] for seed, step in enumerate(step_of)])
            for name, values in scores[last][j].items()
        }

    backward = estimate("bwt", {j: lost(j, [j] * matrix.shape[2]) for j in tasks[:last]}, True)
    kept = estimate("forgetting", {j: lost(j, best[j]) for j in tasks[:last]}, True)
    return {
        "R": [[estimate(f"{i}/{j}", {j: scores[i][j]}, False) for j in tasks] for i in tasks],
        "average_accuracy": estimate("average", dict(enumerate(scores[last])), False),
        "backward_transfer": backward,
        "forgetting": Estimate(-kept.value, -kept.high, -kept.low, kept.warning),
    }


def _by_seed(scores: Scores) -> np.ndarray:
    """Returns [S] the score of each seed on one task."""
    return np.sum([share * scores[name].mean(axis=1) for name, share in weights(list(scores)).items()], axis=0)


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
    """Returns an estimate, or those in lists, as mappings in percent with two decimals."""
    if isinstance(value, Estimate):
        return {k: v if isinstance(v, str) else round(100 * v, 2) for k, v in asdict(value).items()}
    return [as_json(each) for each in value]


@figures.styled()
def figure(learned: Learned, measured: dict[str, dict[str, Any]]) -> Figure:
    """One panel a task: the score after each step with its interval; a dotted line marks the step of the task."""
    drawn = figures.blank(3.0 * len(learned.tasks) + 1.6, 3.0)
    steps = np.arange(len(learned.tasks))
    panels = drawn.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for j, axes in enumerate(panels):
        for place, (learner, each) in enumerate(measured.items()):
            rows = [[100 * end for end in (row[j].value, row[j].low, row[j].high)] for row in each["R"]]
            shift = 0.06 * (place - (len(measured) - 1) / 2)
            colour, label = figures.PALETTE[(place + 1) % len(figures.PALETTE)], learner if j == 0 else None
            figures.curve(axes, steps + shift, rows, color=colour, label=label)
        axes.axvline(j, color=figures.INK, linestyle=":", linewidth=0.8)
        axes.set_xticks(steps, learned.tasks)
        axes.set(xlabel="after learning", ylabel=f"{learned.labels[j]} (%)", title=learned.tasks[j], ylim=(-3, 103))
        axes.grid(axis="y")
    drawn.legend(loc="outside right upper")
    return drawn
