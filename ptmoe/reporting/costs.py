"""A run's times and memory on this machine, which no tracked file contains."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from ptmoe.config.cells import Cell

FOLDER = Path(".costs")
STAGES = ("train", "generate")


def read_costs(cells: Sequence[Cell], folder: Path = FOLDER) -> list[list[str]]:
    """Returns a header and one row per cost file, that is per cell and stage; empty when there is none."""
    costs = []
    for cell in cells:
        for stage in STAGES:
            path = folder / f"{cell.name}.{stage}.json"
            if path.exists():
                costs.append((cell.name, stage, json.loads(path.read_text())))
    names = list(dict.fromkeys(name for _, _, numbers in costs for name in numbers))
    rows = [[cell, stage, *(_shown(numbers.get(name)) for name in names)] for cell, stage, numbers in costs]
    return [["cell", "stage", *(name.replace("_", " ") for name in names)], *rows] if rows else []


def estimate(stage: str, cells: Sequence[Cell], at_once: int, folder: Path = FOLDER) -> str:
    """Says how long cells would take, from the seconds of earlier runs; one without takes its method's mean."""
    known: dict[Cell, float] = {}
    for cell in cells:
        path = folder / f"{cell.name}.{stage}.json"
        if path.exists():
            known[cell] = json.loads(path.read_text())["seconds"]
    if not known:
        return "no earlier cell to estimate the time from"
    means = {
        method: statistics.mean(seconds for cell, seconds in known.items() if cell.method == method)
        for method in {cell.method for cell in known}
    }
    overall = statistics.mean(known.values())
    seconds = [known.get(cell, means.get(cell.method, overall)) for cell in cells]
    hours, work_hours = max(max(seconds), sum(seconds) / min(at_once, len(seconds))) / 3600, sum(seconds) / 3600
    return f"{work_hours:.2f} hours of work, {hours:.2f} on the clock (from {len(known)} of {len(cells)} earlier cells)"


def _shown(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
