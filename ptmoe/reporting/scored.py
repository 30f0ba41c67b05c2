"""Scores of several files beside each other, example by example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.scores import read_scores

KEY = ["dataset", "id"]


@dataclass(frozen=True)
class Scored:
    """One file of scores: its metric and a table of dataset, id, group (missing where there is none) and numbers."""

    metric: Metric
    table: pd.DataFrame


def read_scored(source: Path | IO[bytes]) -> Scored:
    """Reads a scores file; raises `ScoringError` where it is none. A number may be missing."""
    metric, table = read_scores(source)
    frame = table.to_pandas()
    return Scored(metric, frame if "group" in frame else frame.assign(group=None))


def read_finite(source: Path | IO[bytes]) -> Scored:
    """Reads a scores file; raises `ScoringError` where it is none, or a number is missing."""
    scored = read_scored(source)
    for name in scored.metric.columns:
        if not np.isfinite(scored.table[name]).all():
            raise ScoringError(f"{source}: {name} is no number in some rows; score the predictions again")
    return scored


def beside(tables: Mapping[Any, pd.DataFrame], column: str) -> pd.DataFrame:
    """Returns a column of all tables: a row per (dataset, id), a column per table, NaN where it lacks the example."""
    return pd.concat({key: table.set_index(KEY)[column] for key, table in tables.items()}, axis=1)


def by_dataset(wide: pd.DataFrame) -> dict[str, np.ndarray]:
    """Returns {data set: [columns, n]} of what `beside` made, in its order of examples."""
    return {str(name): part.to_numpy().T for name, part in wide.groupby(level="dataset", sort=False)}
