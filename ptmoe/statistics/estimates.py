"""How sure a score is, and whether one method is better than another.

Scores are arrays [S, n]: S seeds, n examples of one data set. A score of several data sets is the sum of their means,
each times its share (`ptmoe.scoring.averages.weights`); examples are resampled inside each data set.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

from ptmoe.runtime.errors import ScoringError

# Numbers drawn at once, which bounds the memory of a resampling.
_BATCH = 2**22
POWER = 0.8

Scores = Mapping[str, np.ndarray]


def present(scores: Scores) -> dict[str, np.ndarray]:
    """Takes away what is NaN: seeds without any score, examples that a remaining seed lacks, empty data sets."""
    kept = np.any([np.isfinite(values).any(axis=1) for values in scores.values()], axis=0) if scores else []
    whole = {key: values[kept][:, np.isfinite(values[kept]).all(axis=0)] for key, values in scores.items()}
    return {key: values for key, values in whole.items() if values.size}


@dataclass(frozen=True)
class Estimate:
    """A score with its interval; NaN where there is no example."""

    value: float
    low: float
    high: float


class Resampling:
    """The bootstrap of one method's scores, or of the paired differences of two methods.

    Examples are resampled with replacement, the same ones for all seeds. Seeds, of which there are few, are not: the
    percentile bootstrap of three seeds covers far less than it says. Their effect is drawn from Student's t with S - 1
    degrees of freedom, scaled by the standard error over seeds, and added.

    Args:
        scores: [S, n] of each data set, the same S for all; NaN where a seed did not score an example.
        confidence: coverage of intervals.
        resamples: number of draws.
        name: seeds the draws, so that the same name and scores give the same interval.
        paired: whether the scores are differences, which may be negative.
    """

    def __init__(self, scores: Scores, confidence: float, resamples: int, name: str, paired: bool = False) -> None:
        self.scores = present(scores)
        self.confidence, self.resamples, self.name, self.paired = confidence, resamples, name, paired
        self.num_seeds = next((len(values) for values in self.scores.values()), 0)

    @cached_property
    def _example_draws(self) -> dict[str, np.ndarray]:
        """Draws [resamples] of each data set's mean."""
        return {key: self._draw_mean(key, values.mean(axis=0)) for key, values in self.scores.items()}

    def _draw_mean(self, key: str, values: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(f"{self.name}/{key}".encode()))
        right = values.sum()
        if not self.paired and values.min() == values.max() and right in (0, len(values)):
            # All wrong or all right: resampling sees no variation, Jeffreys' posterior of the share does.
            return rng.beta(right + 0.5, len(values) - right + 0.5, self.resamples)
        batch = max(1, _BATCH // len(values))
        drawn = stats.bootstrap(
            (values,), np.mean, n_resamples=self.resamples, batch=batch, method="percentile", rng=rng
        )
        return drawn.bootstrap_distribution

    def draws(self, shares: Mapping[str, float]) -> np.ndarray:
        """Returns draws [resamples] of the score that the shares define."""
        total = sum((share * self._example_draws[key] for key, share in shares.items()), np.zeros(self.resamples))
        if self.num_seeds < 2:
            return total
        rng = np.random.default_rng(zlib.crc32(f"{self.name}/seeds".encode()))
        return total + self.seed_error(shares) * rng.standard_t(self.num_seeds - 1, self.resamples)

    def seed_error(self, shares: Mapping[str, float]) -> float:
        """Returns the standard error over seeds, without what the examples' noise adds to their spread.

        That noise is in the draws by example already. A quarter of the spread always stays, because the noise is
        only estimated: without it, intervals of two or three seeds cover less than they say.
        """
        spread = self.by_seed(shares).var(ddof=1)
        noise = sum(
            share**2 * self.scores[key].var(axis=0, ddof=1).mean() / self.scores[key].shape[1]
            for key, share in shares.items()
        )
        return float(np.sqrt(max(spread - noise, spread / 4) / self.num_seeds))

    def by_seed(self, shares: Mapping[str, float]) -> np.ndarray:
        """Returns each seed's score, [S]."""
        return sum((share * self.scores[key].mean(axis=1) for key, share in shares.items()), np.zeros(self.num_seeds))

    def estimate(self, shares: Mapping[str, float]) -> Estimate:
        """Returns the score with its percentile interval; NaN when a data set is missing or there is none."""
        if not shares or not shares.keys() <= self.scores.keys():
            return Estimate(*[float("nan")] * 3)
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(self.draws(shares), [tail, 1 - tail])
        value = float(self.by_seed(shares).mean())
        return Estimate(value, min(float(low), value), max(float(high), value))

    def standard_error(self, shares: Mapping[str, float]) -> float:
        """Returns the standard error over examples and, with several seeds, over seeds."""
        variances = [
            share**2 * self.scores[key].mean(axis=0).var(ddof=1) / self.scores[key].shape[1]
            for key, share in shares.items()
            if self.scores[key].shape[1] > 1
        ]
        between = self.seed_error(shares) if self.num_seeds > 1 else 0.0
        return float(np.sqrt(sum(variances) + between**2))


def permutation_p(differences: Scores, shares: Mapping[str, float], resamples: int, name: str) -> float:
    """Returns the two-sided p-value of the paired permutation test: each example's difference may change its sign.

    The same test as scipy.stats.permutation_test(permutation_type="samples"), which takes a hundred times as long.

    Args:
        differences: [S, n] of each data set, first method minus second; averaged over seeds before the test.
        shares: each data set's share of the score.
    """
    weighted = [share / differences[key].shape[1] * differences[key].mean(axis=0) for key, share in shares.items()]
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
        p_examples: of the permutation test by example: would other examples tell these trained models apart?
        p: with several seeds the larger of that and the one over seeds and examples: would other seeds, too?
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
    num_seeds: int
    p_examples_holm: float
    p_holm: float

    def models_differ(self, confidence: float) -> bool:
        """Tells whether the trained models at hand differ by the corrected test over examples alone."""
        return self.p_examples_holm < 1 - confidence

    def beats(self, confidence: float) -> bool:
        """Tells whether the corrected test allows to call the one with the higher score better."""
        return self.p_holm < 1 - confidence


def compare(
    first: tuple[str, Scores],
    second: tuple[str, Scores],
    shares: Mapping[str, float],
    confidence: float,
    resamples: int,
) -> Comparison:
    """Compares two methods by the same seeds and examples; uncorrected until `corrected` is called.

    Args:
        first: a name and the scores [S, n] of each data set; NaN where there is none.
        second: the same, aligned with the first.
        shares: each data set's share of the score.

    Raises:
        ScoringError: a data set has no example that both scored with the same seed.
    """
    name = f"{first[0]}-{second[0]}"
    resampling = Resampling({key: first[1][key] - second[1][key] for key in shares}, confidence, resamples, name, True)
    differences = resampling.scores
    for key in shares.keys() - differences.keys():
        raise ScoringError(f"{first[0]} and {second[0]} share no scored example of {key} with the same seed")
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
        num_examples=sum(differences[key].shape[1] for key in shares),
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
