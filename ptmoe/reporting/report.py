"""The stage `report`: the results of a run as tables, figures and one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting import figures
from ptmoe.reporting.analysis import analyse
from ptmoe.reporting.cells import read_task
from ptmoe.reporting.numbers import write_csv
from ptmoe.reporting.page import render
from ptmoe.reporting.tables import all_tables, leaderboard
from ptmoe.runtime.files import whole_folder, write_text


def write_report(
    tasks: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    statistics: StatisticsParams,
    root: Path,
    out: Path,
    costs: Sequence[Sequence[str]] = (),
    ablations: Mapping[str, Figure] = MappingProxyType({}),
) -> None:
    """Writes the report of every cell that the parameters name; it lists what is missing.

    Args:
        tasks, methods, seeds: the axes of the run, in the order of the tables.
        statistics: confidence and resamples.
        root: the project's folder, with scores/, logs/, models/, predictions/ and data/split/.
        out: the folder to write; the same inputs give the same bytes. An earlier report there is replaced.
        costs: a header and rows of measured times, for a report that is not tracked.
        ablations: {grid: figure}, for such a report, too: they come from other revisions.

    Raises:
        PtmoeError: `out` holds anything but an earlier report.
    """
    runs = [read_task(task, methods, seeds, root) for task in tasks]
    analyses = [analysis for run in runs if (analysis := analyse(run, statistics)) is not None]
    with whole_folder(out) as made:
        for name, table in all_tables(runs, analyses).items():
            write_csv(made / f"{name}.csv", *table)
        folder = made / "figures"
        drawn = {
            each.run.task: {
                kind: figures.save(figure, folder / f"{kind}-{each.run.task}")
                for kind, figure in figures.draw(each).items()
            }
            for each in analyses
        }
        grids = {name: figures.save(figure, folder / f"ablation-{name}") for name, figure in ablations.items()}
        write_text(made / "leaderboard.md", leaderboard(runs, analyses))
        write_text(made / "index.html", render(runs, analyses, drawn, statistics, root, costs, grids))
