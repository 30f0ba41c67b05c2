"""What a router does: how evenly it uses its experts, and whether its choice follows the kind of question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

COLLAPSE_SHARE = 0.99
HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class RoutingSummary:
    """One cell's routing over its test examples.

    Attributes:
        datasets: D names; those of one kind stand beside each other.
        kinds: [D] each data set's kind; None where it is not known.
        utilisation: [N] share of examples that each expert got.
        by_dataset: [D, N] the same in each data set.
        entropy: of the utilisation, in bits; log2 N when all experts are used evenly.
        mutual_information: of expert and data set, in bits; 0 when the choice does not follow the data set.
        adjusted_information: of expert and kind, adjusted for chance (Vinh et al., JMLR 11, 2010): 0 for a choice that
            knows nothing of the kind, 1 for one that is the kind; NaN with fewer than two kinds.
        expert_kinds: [N] the kind that an expert gets most examples of; None for an expert without any.
        separated: share of the examples whose expert gets their kind most; NaN with fewer than two kinds. One expert
            for all reaches the share of the largest kind.
        gate_histogram: [20] examples by the chosen expert's gate, over 0..1; empty without gates.
        mean_gate: mean gate of the chosen expert.
    """

    datasets: list[str]
    kinds: list[str | None]
    utilisation: np.ndarray
    by_dataset: np.ndarray
    entropy: float
    mutual_information: float
    adjusted_information: float
    expert_kinds: list[str | None]
    separated: float
    gate_histogram: np.ndarray
    mean_gate: float

    @property
    def num_experts(self) -> int:
        return len(self.utilisation)

    @property
    def highest_entropy(self) -> float:
        """The entropy of an even use, in bits."""
        return float(np.log2(self.num_experts))

    @property
    def num_kinds(self) -> int:
        return len(set(self.kinds) - {None})

    @property
    def experts_by_kind(self) -> list[int]:
        """The experts in the order of their kinds, those of one kind by their share; unused ones come last."""
        place = {kind: number for number, kind in enumerate(self.kinds)}
        last = len(self.kinds)
        kinds = [place[kind] if kind is not None else last for kind in self.expert_kinds]
        return sorted(range(self.num_experts), key=lambda expert: (kinds[expert], -self.utilisation[expert]))

    @property
    def collapsed(self) -> bool:
        """Whether one of several experts gets at least 99 percent of the examples."""
        return self.num_experts > 1 and self.utilisation.max() >= COLLAPSE_SHARE


def kinds_of(datasets: Sequence[str], training_sets: Sequence[str]) -> dict[str, str]:
    """Returns the kind of question of each test set.

    With several training sets a kind is one of them: a test set is of the kind of its own name, or of the training set
    whose name it continues (`people_far` of `people`); a test set that no training set names is left out. With one
    training set, each test set is a kind.
    """
    if len(training_sets) < 2:
        return {name: name for name in datasets}
    found = {}
    for name in datasets:
        known = [each for each in training_sets if name == each or name.startswith((f"{each}_", f"{each}/"))]
        if known:
            found[name] = max(known, key=len)
    return found


def summarise(
    expert: Sequence[int | None],
    gate: Sequence[float | None],
    dataset: Sequence[str],
    num_experts: int | None = None,
    order: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> RoutingSummary | None:
    """Summarises the choices of one cell; None when no example has one.

    Args:
        expert: the chosen expert of each example, None where there is no router.
        gate: that expert's gate.
        dataset: each example's data set.
        num_experts: N; the highest expert seen plus one when it is not known.
        order: of the data sets in the summary; those that it does not name come last.
        kinds: each data set's kind (`kinds_of`); by default each is one.
    """
    from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

    chosen = [(each, g, name) for each, g, name in zip(expert, gate, dataset, strict=True) if each is not None]
    if not chosen:
        return None
    experts, names = np.array([each for each, _, _ in chosen]), np.array([name for _, _, name in chosen])
    gates = np.array([g for _, g, _ in chosen if g is not None and np.isfinite(g)])
    n = max(num_experts or 0, int(experts.max()) + 1)
    datasets = list(dict.fromkeys([*(name for name in order if name in names), *names.tolist()]))
    kinds = {name: name for name in datasets} if kinds is None else kinds
    known = list(dict.fromkeys(kinds[name] for name in datasets if name in kinds))
    place = {kind: number for number, kind in enumerate(known)}
    datasets.sort(key=lambda name: place[kinds[name]] if name in kinds else len(known))
    kind = np.array([place[kinds[name]] if name in kinds else -1 for name in names.tolist()])
    # [kinds, N] examples of a kind that each expert got.
    counts = np.array([np.bincount(experts[kind == number], minlength=n) for number in range(len(known))])
    several = len(known) > 1
    shares = np.array([np.bincount(experts[names == name], minlength=n) / (names == name).sum() for name in datasets])
    utilisation = np.bincount(experts, minlength=n) / len(experts)
    used = utilisation[utilisation > 0]
    return RoutingSummary(
        datasets=datasets,
        kinds=[kinds.get(name) for name in datasets],
        utilisation=utilisation,
        by_dataset=shares,
        entropy=abs(float(-(used * np.log2(used)).sum())),
        mutual_information=max(0.0, float(mutual_info_score(names, experts) / np.log(2))),
        adjusted_information=adjusted_mutual_info_score(kind[kind >= 0], experts[kind >= 0]) if several else np.nan,
        expert_kinds=[known[each.argmax()] if each.any() else None for each in counts.T] if known else [None] * n,
        separated=float(counts.max(axis=0).sum() / counts.sum()) if several else np.nan,
        gate_histogram=np.histogram(gates, bins=HISTOGRAM_BINS, range=(0, 1))[0] if gates.size else np.array([], int),
        mean_gate=float(gates.mean()) if gates.size else float("nan"),
    )
