"""How evenly a router uses its experts, and whether its choice follows the data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import mutual_info_score

COLLAPSE_SHARE = 0.99
HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class RoutingSummary:
    """One cell's routing over its test examples.

    Attributes:
        utilisation: [N] share of examples that each expert got.
        by_dataset: [D, N] the same in each data set.
        entropy: of the utilisation, in bits; log2 N when all experts are used evenly.
        mutual_information: of expert and data set, in bits; 0 when the choice does not follow the data set.
        gate_histogram: [20] examples by the chosen expert's gate, over 0..1; empty without gates.
        mean_gate: mean gate of the chosen expert.
    """

    datasets: list[str]
    utilisation: np.ndarray
    by_dataset: np.ndarray
    entropy: float
    mutual_information: float
    gate_histogram: np.ndarray
    mean_gate: float

    @property
    def num_experts(self) -> int:
        return len(self.utilisation)

    @property
    def collapsed(self) -> bool:
        """Whether one of several experts gets at least 99 percent of the examples."""
        return self.num_experts > 1 and self.utilisation.max() >= COLLAPSE_SHARE


def summarise(
    expert: Sequence[int | None],
    gate: Sequence[float | None],
    dataset: Sequence[str],
    num_experts: int | None = None,
    order: Sequence[str] = (),
) -> RoutingSummary | None:
    """Summarises the choices of one cell; None when no example has one.

    Args:
        expert: the chosen expert of each example, None where there is no router.
        gate: that expert's gate.
        dataset: each example's data set.
        num_experts: N; the highest expert seen plus one when it is not known.
        order: of the data sets in the summary; those that it does not name come last.
    """
    chosen = [(each, g, name) for each, g, name in zip(expert, gate, dataset, strict=True) if each is not None]
    if not chosen:
        return None
    experts, names = np.array([each for each, _, _ in chosen]), np.array([name for _, _, name in chosen])
    gates = np.array([g for _, g, _ in chosen if g is not None and np.isfinite(g)])
    n = max(num_experts or 0, int(experts.max()) + 1)
    datasets = list(dict.fromkeys([*(name for name in order if name in names), *names.tolist()]))
    shares = np.array([np.bincount(experts[names == name], minlength=n) / (names == name).sum() for name in datasets])
    utilisation = np.bincount(experts, minlength=n) / len(experts)
    used = utilisation[utilisation > 0]
    return RoutingSummary(
        datasets=datasets,
        utilisation=utilisation,
        by_dataset=shares,
        entropy=abs(float(-(used * np.log2(used)).sum())),
        mutual_information=max(0.0, float(mutual_info_score(names, experts) / np.log(2))),
        gate_histogram=np.histogram(gates, bins=HISTOGRAM_BINS, range=(0, 1))[0] if gates.size else np.array([], int),
        mean_gate=float(gates.mean()) if gates.size else float("nan"),
    )
