"""Scores by cluster, for data sets whose questions are not independent.

Questions of one passage, or variants of one problem, tend to be right or wrong together, so their number
overstates the information in a test set (Miller, Adding Error Bars to Evals, arXiv 2411.00640). A data set's
scores are added up once in each cluster; intervals, tests and standard errors see only these sums and the clusters'
sizes. One cluster per example gives the statistics of independent examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

# In simulations 95 % intervals cover 91 % with 8 clusters, 83 % with 5 and 56 % with 2 (docs/evidence.md).
FEW = 10

Scores = Mapping[str, np.ndarray]
Clusters = Mapping[str, np.ndarray]
Columns = Mapping[str, Sequence | np.ndarray] | pd.DataFrame


@dataclass(frozen=True)
class Clustered:
    """One data set's scores.

    Attributes:
        sums: [S, G] each seed's summed scores in each of G clusters.
        sizes: [G] the examples of each cluster.
    """

    sums: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, clusters: np.ndarray) -> Clustered:
        """Sums scores [S, n] within the clusters that [n] labels name, in order of first appearance."""
        _, first, member = np.unique(clusters, return_index=True, return_inverse=True)
        member = first.argsort().argsort()[member]
        sums = np.zeros((len(first), len(scores)))
        np.add.at(sums, member, scores.T)
        return cls(sums.T, np.bincount(member))

    @property
    def num_clusters(self) -> int:
        return len(self.sizes)

    @cached_property
    def num_examples(self) -> int:
        return int(self.sizes.sum())

    @cached_property
    def mean_sums(self) -> np.ndarray:
        """The sums averaged over seeds, [G]."""
        return self.sums.mean(axis=0)

    @cached_property
    def means(self) -> np.ndarray:
        """Each cluster's mean score over its examples and all seeds, [G]."""
        return self.mean_sums / self.sizes

    def by_seed(self) -> np.ndarray:
        """Returns each seed's mean over examples, [S]."""
        return self.sums.sum(axis=1) / self.num_examples

    def variance(self) -> float:
        """Returns n times the variance of the mean over examples and seeds, as two or more clusters are drawn.

        With one example a cluster this is the examples' variance. The mean is a ratio of sums when sizes differ, so
        its linearised variance is taken, with the correction G / (G - 1): the variance CR1 of a regression on a
        constant alone (Liang and Zeger, Biometrika 73, 1986).
        """
        residuals = self.mean_sums - self.sizes * (self.mean_sums.sum() / self.num_examples)
        spread = (residuals * residuals).sum() / (self.num_clusters - 1)
        return spread * (self.num_clusters / self.num_examples)

    def noise(self) -> float:
        """Returns n times the clusters' part of the variance between seeds' means; 0 for one cluster."""
        return self.sums.var(axis=0, ddof=1).sum() / self.num_examples if self.num_clusters > 1 else 0.0

    def warning(self, name: str) -> str:
        """Returns a warning where the statistics of the data set `name` are rough or meaningless, else nothing."""
        if self.num_clusters == 1:
            held = "one example" if self.num_examples == 1 else f"one group of {self.num_examples} related examples"
            return f"The test set {name!r} has {held}: its interval is as wide as that of one right or wrong answer."
        if self.num_clusters < FEW:
            held = "examples" if self.num_examples == self.num_clusters else "groups of related examples"
            return f"The test set {name!r} has {self.num_clusters} {held}: interval and p-value are rough below {FEW}."
        if np.allclose(self.means, self.means[0], rtol=0, atol=1e-12):
            return f"All {self.num_clusters} values of the test set {name!r} are equal: resampling sees no variation."
        return ""


def present(scores: Scores, clusters: Clusters | None = None) -> dict[str, Clustered]:
    """Removes NaN: seeds without any score, examples that a remaining seed lacks, empty data sets.

    Args:
        scores: [S, n] of each data set, the same S for all.
        clusters: [n] labels of each data set; without them, each example is a cluster.
    """
    seeds = np.any([np.isfinite(values).any(axis=1) for values in scores.values()], axis=0) if scores else []
    by_dataset = {}
    for key, values in scores.items():
        labels = np.arange(values.shape[1]) if clusters is None else clusters[key]
        whole = np.isfinite(values[seeds]).all(axis=0)
        if (kept := values[seeds][:, whole]).size:
            by_dataset[key] = Clustered.of(kept, labels[whole])
    return by_dataset


def numbered(groups: Iterable[object]) -> np.ndarray:
    """Returns [n] a number for each group; an example without a group (None or NaN) has its own number."""
    known: dict[object, int] = {}
    names = (row if group is None or group != group else group for row, group in enumerate(groups))
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=int)


def clusters_of(columns: Columns) -> dict[str, np.ndarray]:
    """Returns [n] labels of each data set from the columns of a scores file, in its order of examples."""
    dataset = np.array(columns["dataset"], dtype=object)
    labels = numbered(columns["group"]) if "group" in columns else np.arange(len(dataset))
    return {name: labels[dataset == name] for name in dict.fromkeys(dataset)}
