"""The paper's averages: unweighted over data sets, where the parts of one data set are averaged first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

IN_DOMAIN, OUT_OF_DOMAIN = "in-domain", "out-of-domain"


def weights(datasets: Sequence[str]) -> dict[str, float]:
    """Returns each data set's share of the average; the shares add up to 1.

    `SVAMP/Addition` is one part of SVAMP: SVAMP counts as one data set, its parts share that (paper, table 4, where
    SVAMP is the unweighted mean of its four types).
    """
    families: dict[str, list[str]] = {}
    for name in datasets:
        head, _, rest = name.partition("/")
        families.setdefault(head, []).append(rest)
    shares = {}
    for head, parts in families.items():
        inner = {"": 1.0} if parts == [""] else weights(parts)
        shares |= {f"{head}/{part}" if part else head: share / len(families) for part, share in inner.items()}
    return shares


def average(means: Mapping[str, float]) -> float:
    """Returns the average of data sets' means; of none, NaN."""
    if not means:
        return float("nan")
    return sum(share * means[name] for name, share in weights(list(means)).items())
