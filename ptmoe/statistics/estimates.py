"""Intervals of scores, and tests of whether one method is better than another.

Scores are arrays [S, n]: S seeds, n examples of one data set. A score of several data sets is the sum of their means,
each times its share (`ptmoe.scoring.averages.weights`). The unit of resampling is a cluster of dependent examples
(`ptmoe.statistics.clusters`), inside each data set; without clusters, each example is one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

from ptmoe.runtime.errors import ScoringError
from ptmoe.statistics.clusters import Clustered, Clusters, Scores, present

# Numbers drawn at once, which bounds the memory of a resampling.
_BATCH = 2**22
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A score with its interval; NaN where there is no example.

    Attributes:
        warning: why the interval is rough; empty where it is not.
    """

    value: float
    low: float
    high: float
    warning: str = ""


class Resampling:
    """The bootstrap of one method's scores, or of the paired differences of two methods.

    Clusters are resampled with replacement, the same ones for all seeds. Seeds are not, because they are few: the
    percentile bootstrap of three seeds covers far less than its nominal level. Their effect is drawn from
    Student's t with S - 1 degrees of freedom, scaled by the standard error over seeds, and added.

    Args:
        scores: [S, n] of each data set, the same S for all; NaN where a seed did not score an example.
        confidence: coverage of intervals.
        resamples: number of draws.
        name: seeds the draws, so that the same name and scores give the same interval.
        paired: whether the scores are differences, which may be negative.
        clusters: [n] labels of each data set.
    """

    def __init__(
        self,
        scores: Scores,
        confidence: float,
        resamples: int,
        name: str,
        paired: bool = False,
        clusters: Clusters | None = None,
    ) -> None:
        self.scores = present(scores, clusters)
        self.confidence, self.resamples, self.name, self.paired = confidence, resamples, name, paired
        self.num_seeds = next((len(each.sums) for each in self.scores.values()), 0)

    @cached_property
    def _cluster_draws(self) -> dict[str, np.ndarray]:
        """Draws [resamples] of each data set's mean."""
        return {key: self._draw_mean(key, each) for key, each in self.scores.items()}

    def _draw_mean(self, key: str, each: Clustered) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(f"{self.name}/{key}".encode()))
        total, right = each.num_clusters, each.means.sum()
        if total == 1 and self.paired:
            # The share of a difference's range, -1..1, as if the one cluster were a right or a wrong answer.
            return 2 * self._posterior(rng, (1 + right) / 2, 1) - 1
        if total == 1 or (not self.paired and each.means.min() == each.means.max() and right in (0, total)):
            # One cluster, all wrong or all right: resampling sees no variation, Jeffreys' posterior of the share does.
            return self._posterior(rng, right, total)
        draws = np.empty(self.resamples)
        for start in range(0, self.resamples, batch := max(1, _BATCH // total)):
            drawn = rng.integers(0, total, (min(batch, self.resamples - start), total))
            draws[start : start + batch] = each.mean_sums[drawn].sum(axis=1) / each.sizes[drawn].sum(axis=1)
        return draws

    def _posterior(self, rng: np.random.Generator, right: float, total: int) -> np.ndarray:
        return rng.beta(right + 0.5, total - right + 0.5, self.resamples)

    def draws(self, shares: Mapping[str, float]) -> np.ndarray:
        """Returns draws [resamples] of the score that the shares define."""
        total = sum((share * self._cluster_draws[key] for key, share in shares.items()), np.zeros(self.resamples))
        if self.num_seeds < 2:
            return total
        rng = np.random.default_rng(zlib.crc32(f"{self.name}/seeds".encode()))
        return total + self.seed_error(shares) * rng.standard_t(self.num_seeds - 1, self.resamples)

    def seed_error(self, shares: Mapping[str, float]) -> float:
        """Returns the standard error over seeds, without what the clusters' noise adds to their spread.

        The draws by cluster already contain that noise. A quarter of the spread always stays, because the noise is
        only estimated: without it, intervals of two or three seeds cover less than their nominal level.
        """
        spread = self.by_seed(shares).var(ddof=1)
        noise = sum(share**2 * (each := self.scores[key]).noise() / each.num_examples for key, share in shares.items())
        return float(np.sqrt(max(spread - noise, spread / 4) / self.num_seeds))

    def by_seed(self, shares: Mapping[str, float]) -> np.ndarray:
        """Returns each seed's score, [S]."""
        return sum((share * self.scores[key].by_seed() for key, share in shares.items()), np.zeros(self.num_seeds))

    def estimate(self, shares: Mapping[str, float]) -> Estimate:
        """Returns the score with its percentile interval; NaN when a data set is missing or there is none."""
        if not shares or not shares.keys() <= self.scores.keys():
            return Estimate(float("nan"), float("nan"), float("nan"))
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(self.draws(shares), [tail, 1 - tail])
        value = float(self.by_seed(shares).mean())
        warning = " ".join(filter(None, (self.scores[key].warning(key) for key in shares)))
        return Estimate(value, min(float(low), value), max(float(high), value), warning)

    def standard_error(self, shares: Mapping[str, float]) -> float:
        """Returns the standard error over clusters and, with several seeds, over seeds."""
        variances = [share**2 * self._variance(key) / self.scores[key].num_examples for key, share in shares.items()]
        between = self.seed_error(shares) if self.num_seeds > 1 else 0.0
        return float(np.sqrt(sum(variances) + between**2))

    def _variance(self, key: str) -> float:
        """Returns n times the variance of a data set's mean; that of one cluster is only in its draws."""
        each = self.scores[key]
        return each.variance() if each.num_clusters > 1 else each.num_examples * self._cluster_draws[key].var()


def permutation_p(
    differences: Mapping[str, Clustered], shares: Mapping[str, float], resamples: int, name: str
) -> float:
    """Returns the two-sided p-value of the paired permutation test: each cluster's difference may change its sign.

    The same test as scipy.stats.permutation_test(permutation_type="samples"), which takes a hundred times as long.

    Args:
        differences: of each data set, first method minus second; averaged over seeds before the test.
        shares: each data set's share of the score.
    """
    weighted = [share / (each := differences[key]).num_examples * each.mean_sums for key, share in shares.items()]
    changed = np.concatenate(weighted)
    changed = changed[changed != 0]
    if not changed.size:
        return 1.0
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    observed = abs(changed.sum()) * (1 - 1e-9)
    as_extreme, width = 0, -(-len(changed) // 8)
    for start in range(0, resamples, batch := max(1, _BATCH // len(changed))):
        rows = min(batch, resamples - start)
        bits = np.frombuffer(rng.bytes(rows * width), np.uint8).reshape(rows, width)
        positive = np.unpackbits(bits, axis=1, count=len(changed))
        as_extreme += int((abs(2 * (positive @ changed) - changed.sum()) >= observed).sum())
    return (as_extreme + 1) / (resamples + 1)


def seed_p(resampling: Resampling, shares: Mapping[str, float]) -> float:
    """Returns the two-sided p-value of a difference over seeds and examples, from the draws of its interval."""
    draws = resampling.draws(shares)
    smaller = min((draws <= 0).sum(), (draws >= 0).sum())
    return float(min(1.0, 2 * (smaller + 1) / (len(draws) + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number by Holm's step-down rule, in the given order."""
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two methods on the examples that both scored.

    Attributes:
        difference: first minus second, 0..1.
        p_examples: of the permutation test by cluster, for these trained models.
        p: with several seeds, the larger of `p_examples` and the p-value over seeds and examples.
        detectable: the smallest difference that a test of this size finds with a power of 80 percent.
        p_examples_holm, p_holm: corrected for all comparisons that are made together; uncorrected until then.
    """

    first: str
    second: str
    difference: Estimate
    p_examples: float
    p: float
    detectable: float
    num_examples: int
    num_clusters: int
    num_seeds: int
    p_examples_holm: float
    p_holm: float

    def models_differ(self, confidence: float) -> bool:
        """Tells whether these trained models differ significantly by the corrected test over examples alone."""
        return self.p_examples_holm < 1 - confidence

    def beats(self, confidence: float) -> bool:
        """Tells whether the method with the higher score is significantly better after correction."""
        return self.p_holm < 1 - confidence


def compare(
    first: tuple[str, Scores],
    second: tuple[str, Scores],
    shares: Mapping[str, float],
    confidence: float,
    resamples: int,
    clusters: Clusters | None = None,
) -> Comparison:
    """Compares two methods by the same seeds and examples; uncorrected until `corrected` is called.

    Args:
        first: a name and the scores [S, n] of each data set; NaN where there is none.
        second: the same, aligned with the first.
        shares: each data set's share of the score.
        clusters: [n] labels of each data set; without them, each example is a cluster.

    Raises:
        ScoringError: a data set has no example that both scored with the same seed.
    """
    name = f"{first[0]}-{second[0]}"
    paired = {key: first[1][key] - second[1][key] for key in shares}
    resampling = Resampling(paired, confidence, resamples, name, True, clusters)
    differences = resampling.scores
    for key in shares.keys() - differences.keys():
        raise ScoringError(f"{first[0]} and {second[0]} have no scored example of {key} with the same seed in common")
    p_examples = permutation_p(differences, shares, resamples, name)
    p = max(p_examples, seed_p(resampling, shares)) if resampling.num_seeds > 1 else p_examples
    z = stats.norm.ppf([1 - (1 - confidence) / 2, POWER]).sum()
    return Comparison(
        first=first[0],
        second=second[0],
        difference=resampling.estimate(shares),
        p_examples=p_examples,
        p=p,
        detectable=float(z) * resampling.standard_error(shares),
        num_examples=sum(differences[key].num_examples for key in shares),
        num_clusters=sum(differences[key].num_clusters for key in shares),
        num_seeds=resampling.num_seeds,
        p_examples_holm=p_examples,
        p_holm=p,
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns the comparisons with p-values corrected for all of them."""
    by_example, over_all = holm([each.p_examples for each in comparisons]), holm([each.p for each in comparisons])
    return [
        replace(each, p_examples_holm=first, p_holm=second)
        for each, first, second in zip(comparisons, by_example, over_all, strict=True)
    ]
