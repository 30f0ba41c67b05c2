"""Whether a router chooses well: its scores against those of its own experts, each forced on every example."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.cells import TaskRun
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


def forced_experts(
    run: TaskRun, column: str, shares: dict[str, float], statistics: StatisticsParams
) -> list[ForcedExperts]:
    """Returns a summary of each method whose experts were forced, by a column's average."""
    options = statistics.confidence, statistics.resamples
    summaries = []
    for method in run.methods:
        chosen = _choices(run, method, column, shares)
        if chosen is None:
            continue
        choices, clusters = chosen
        name = f"{run.task}/{method}"
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
    run: TaskRun, method: str, column: str, shares: dict[str, float]
) -> tuple[dict[str, Scores], Clusters] | None:
    """Returns {choice: {data set: [S, n]}} of the seeds whose experts were all forced, and clusters; None without."""
    tables = [run.scored[method, seed] for seed in run.seeds if (method, seed) in run.scored]
    tables = [table for table in tables if BY_EXPERT in table and not table[BY_EXPERT].isna().to_numpy().any()]
    seeds = [_by_expert(table, column) for table in tables]
    if not seeds or any(set(seed) != set(seeds[0]) or not shares.keys() <= seed.keys() for seed in seeds):
        return None
    # [S, n, 1 + N]: the router's score and each expert's.
    values = {key: np.stack([seed[key] for seed in seeds]) for key in shares}
    means = np.sum([share * values[key][:, :, 1:].mean(axis=1) for key, share in shares.items()], axis=0)
    choices: dict[str, Scores] = {
        ROUTER: {key: each[:, :, 0] for key, each in values.items()},
        BEST: {key: each[np.arange(len(seeds)), :, 1 + means.argmax(axis=1)] for key, each in values.items()},
        RANDOM: {key: each[:, :, 1:].mean(axis=2) for key, each in values.items()},
        ORACLE: {key: each[:, :, 1:].max(axis=2) for key, each in values.items()},
    }
    return choices, clusters_of(tables[0])


def _by_expert(table: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    return {
        str(name): np.column_stack([rows[column], np.stack(rows[BY_EXPERT].to_list())])
        for name, rows in table.groupby("dataset")
    }
