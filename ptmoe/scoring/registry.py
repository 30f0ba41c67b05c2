"""Finds a metric by its name, which is the name of its file in ptmoe/metrics."""

from __future__ import annotations

import importlib
from pathlib import Path

from ptmoe.config.faults import suggestion
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.metric import Metric

FOLDER = Path(__file__).parents[1] / "metrics"


def metric_names() -> list[str]:
    """Returns the names of all metrics."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def load_metric(name: str) -> Metric:
    """Imports `ptmoe/metrics/<name>.py` and returns its `METRIC`.

    Raises:
        ScoringError: there is no such file.
    """
    known = metric_names()
    if name not in known:
        hint = suggestion(name, known)
        raise ScoringError(f"metric {name!r} has no file in ptmoe/metrics; {hint}allowed: {', '.join(known)}")
    return importlib.import_module(f"ptmoe.metrics.{name}").METRIC
