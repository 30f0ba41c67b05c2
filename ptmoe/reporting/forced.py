"""Whether a router chooses well: its scores against those of its own experts, each forced on every example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.analysis import AVERAGE, TaskAnalysis
from ptmoe.reporting.cells import CellResult
from ptmoe.scoring.scores import BY_EXPERT
from ptmoe.statistics.clusters import Clusters, Scores, clusters_of
from ptmoe.statistics.estimates import Comparison, Estimate, Resampling, compare, corrected

ROUTER, BEST, RANDOM, ORACLE = "router", "best expert", "random expert", "oracle"


@dataclass(frozen=True)
class ForcedExperts:
    """One method's ways of choosing an expert for each example.

    Attributes:
        estimates: the average score of the router; of the one expert that is best on these examples, which may be
            another in each seed; of an expert drawn at random; and of whichever expert is best for each example.
        against: the router minus the best expert and minus a random one, corrected for all methods of the task.
        regret: the oracle minus the router.
    """

    method: str
    estimates: dict[str, Estimate]
    against: dict[str, Comparison]
    regret: Estimate

    def router_minus(self, choice: str) -> Estimate | None:
        """Returns how far the router is above another way to choose; None for the router itself."""
        if choice in self.against:
            return self.against[choice].difference
        # Subtracted, because the negative of zero would be written as one.
        value, low, high = (0.0 - end for end in (self.regret.value, self.regret.high, self.regret.low))
        return Estimate(value, low, high, self.regret.warning) if choice == ORACLE else None


def forced_experts(analysis: TaskAnalysis, statistics: StatisticsParams) -> list[ForcedExperts]:
    """Returns a summary of each method whose experts were forced."""
    shares = analysis.parts.get(AVERAGE, {})
    summaries = []
    for method in analysis.run.methods:
        chosen = _choices(analysis, method, shares)
        if chosen is None:
            continue
        choices, clusters = chosen
        name = f"{analysis.run.task}/{method}"
        options = statistics.confidence, statistics.resamples
        estimates = {
            choice: Resampling(scores, *options, f"{name}/{choice}", clusters=clusters).estimate(shares)
            for choice, scores in choices.items()
        }
        router = f"{name}/{ROUTER}", choices[ROUTER]
        against = {
            choice: compare(router, (choice, choices[choice]), shares, *options, clusters) for choice in (BEST, RANDOM)
        }
        left = {key: choices[ORACLE][key] - choices[ROUTER][key] for key in shares}
        regret = Resampling(left, *options, f"{ORACLE}-{name}/{ROUTER}", True, clusters).estimate(shares)
        summaries.append(ForcedExperts(method, estimates, against, regret))
    together = iter(corrected([each for one in summaries for each in one.against.values()]))
    return [replace(one, against={choice: next(together) for choice in one.against}) for one in summaries]


def _choices(
    analysis: TaskAnalysis, method: str, shares: dict[str, float]
) -> tuple[Mapping[str, Scores], Clusters] | None:
    """Returns {choice: {dataset: [S, n]}} of the seeds whose experts were all forced, and clusters; None without."""
    per_seed = [
        table
        for seed in analysis.run.seeds
        if (table := _by_expert(analysis.run.cells[method, seed], analysis.headline)) is not None
    ]
    seeds = [table for table, _ in per_seed]
    if not seeds or not shares or any(set(seed) != set(seeds[0]) or not shares.keys() <= seed.keys() for seed in seeds):
        return None
    best = [_best_expert(seed, shares) for seed in seeds]
    choices = {
        ROUTER: {key: np.stack([seed[key][:, 0] for seed in seeds]) for key in shares},
        BEST: {key: np.stack([seed[key][:, 1 + e] for seed, e in zip(seeds, best, strict=True)]) for key in shares},
        RANDOM: {key: np.stack([seed[key][:, 1:].mean(axis=1) for seed in seeds]) for key in shares},
        ORACLE: {key: np.stack([seed[key][:, 1:].max(axis=1) for seed in seeds]) for key in shares},
    }
    return choices, per_seed[0][1]


def _by_expert(result: CellResult, column: str) -> tuple[dict[str, np.ndarray], Clusters] | None:
    """Returns {dataset: [n, 1 + N]}, the router's score and each expert's, and clusters; None where one is missing."""
    scores = result.scores
    if scores is None or BY_EXPERT not in scores or any(each is None for each in scores[BY_EXPERT]):
        return None
    table = np.column_stack([scores[column].astype(float), np.array(scores[BY_EXPERT].tolist(), dtype=float)])
    return {name: table[scores["dataset"] == name] for name in dict.fromkeys(scores["dataset"])}, clusters_of(scores)


def _best_expert(seed: dict[str, np.ndarray], shares: dict[str, float]) -> int:
    means = sum(share * seed[key][:, 1:].mean(axis=0) for key, share in shares.items())
    return int(np.argmax(means))
