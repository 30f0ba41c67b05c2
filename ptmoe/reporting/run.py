"""The stage `report`: everything that a run says, in tables, figures and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptmoe.params import StatisticsParams
from ptmoe.reporting.cells import read_task
from ptmoe.reporting.tables import write_curves, write_leaderboard


def write_report(
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    statistics: StatisticsParams,
    root: Path,
    out: Path,
) -> None:
    """Writes the report of every cell that the parameters name; what is missing is said, not an error.

    Args:
        tasks, methods, seeds: the axes of the run, in the order of the tables.
        statistics: confidence and resamples.
        root: the project's folder, where scores/, logs/, models/, predictions/ and data/split/ lie.
        out: the folder to write; the same inputs give the same bytes.
    """
    runs = [read_task(task, methods, seeds, root) for task in tasks]
    out.mkdir(parents=True, exist_ok=True)
    write_leaderboard(runs, out)
    write_curves(runs, out / "curves.csv")
