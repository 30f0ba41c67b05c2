"""The scores of a grid's settings, wherever they were made, as a table and as a panel of figure 3."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptmoe.config.cells import Cell
from ptmoe.config.params import Params, read_yaml
from ptmoe.reporting import figures
from ptmoe.reporting.analysis import AVERAGE, parts_of
from ptmoe.reporting.compare import Scored, read_if_there
from ptmoe.reporting.grids import GRIDS, Grid, thousands
from ptmoe.reporting.published import ablation_point
from ptmoe.reporting.revisions import at, holds, revisions, workspace_hashes
from ptmoe.reporting.tables import percents, write_csv
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN
from ptmoe.scoring.cell import read_datasets
from ptmoe.scoring.registry import load_metric, metric_names
from ptmoe.statistics.clusters import clusters_of
from ptmoe.statistics.estimates import Resampling

# The profile whose data are the paper's.
PAPER = "paper"
Found = dict[tuple[str, Cell], tuple[str, Scored]]


class Point(NamedTuple):
    """One average of one method at one setting, a row of the table; scores in percent.

    `published` is the paper's number where it prints one for these data and this base model, else NaN.
    """

    task: str
    method: str
    value: str
    trainable_parameters: int | None
    average: str
    metric: str
    score: float
    low: float
    high: float
    published: float
    base: str
    revision: str


def find_cells(grid: Grid, tasks: Sequence[str], params: Params) -> Found:
    """Returns {(label, cell): (revision's name, scores)} of all cells that HEAD or an experiment holds.

    Names do not matter: a revision counts when its lock file says that the cell came from params.yaml with the
    setting's values and from the code of the workspace. The newest wins.
    """
    tree, known, hash_of = read_yaml("params.yaml"), revisions(), workspace_hashes()
    stages = {name: stage for name, stage in read_yaml("dvc.yaml")["stages"].items() if name != "report"}
    found: Found = {}
    for label, setting in grid.settings.items():
        changed = setting.applied_to(tree)
        for cell in grid_cells(grid, tasks, params):
            for revision in known:
                if holds(revision, cell, stages, changed, hash_of):
                    scored = read_if_there(cell, revision.commit)
                    if scored is not None:
                        found[label, cell] = revision.name, scored
                        break
    return found


def grid_cells(grid: Grid, tasks: Sequence[str], params: Params) -> list[Cell]:
    """Returns the cells that each setting needs."""
    return [Cell(task, method, seed) for task in tasks for method in grid.methods for seed in params.grid.seeds]


def collect(grid: Grid, found: Found, tasks: Sequence[str], params: Params) -> list[Point]:
    """Estimates each setting's average, and those in and out of domain."""
    tree, statistics = read_yaml("params.yaml"), params.grid.statistics
    points = []
    for task in tasks:
        domains = {name: entry["domain"] for name, entry in read_datasets(Path("data/split") / task).items()}
        for label, setting in grid.settings.items():
            base = at(setting.applied_to(tree), f"profiles.{params.grid.profile}.base.name")
            for method in grid.methods:
                cells = [Cell(task, method, seed) for seed in params.grid.seeds]
                held = [found[label, cell] for cell in cells if (label, cell) in found]
                if not held:
                    continue
                metric, first = held[0][1].metric, held[0][1].columns
                scores = _stacked([scored.columns for _, scored in held], metric.headline)
                parts = parts_of(list(scores), domains)
                name = f"{grid.name}/{task}/{label}/{method}"
                resampling = Resampling(
                    scores, statistics.confidence, statistics.resamples, name, clusters=clusters_of(first)
                )
                for part in [each for each in (IN_DOMAIN, OUT_OF_DOMAIN, AVERAGE) if each in parts]:
                    published = math.nan
                    if params.grid.profile == PAPER:
                        series = part if len(grid.methods) == 1 else f"{method} {part}"
                        published = ablation_point(grid.name, label, series, metric.headline, base)
                    points.append(
                        Point(
                            task,
                            method,
                            label,
                            setting.parameters,
                            part,
                            metric.headline,
                            *percents(resampling.estimate(parts[part])),
                            published,
                            base,
                            " ".join(dict.fromkeys(revision for revision, _ in held)),
                        )
                    )
    return points


def _stacked(seeds: list[dict[str, list]], column: str) -> dict[str, np.ndarray]:
    """Returns [S, n] of each data set; all seeds score the same examples in the same order."""
    dataset = np.array(seeds[0]["dataset"], dtype=object)
    table = np.array([seed[column] for seed in seeds], dtype=float)
    return {name: table[:, dataset == name] for name in dict.fromkeys(seeds[0]["dataset"])}


def write(grid: Grid, points: Sequence[Point], out: Path) -> None:
    """Writes `out`/<name>.csv, .svg and .png."""
    write_csv(out / f"{grid.name}.csv", Point._fields, points)
    figures.save(panel(grid.title, points), out / grid.name)


def read_panels(folder: Path) -> dict[str, Figure]:
    """Returns {name: figure} of the tables that `write` left in a folder, in the order of the grids."""
    tables = {name: folder / f"{name}.csv" for name in read_yaml(GRIDS)}
    titles = {name: grid["title"] for name, grid in read_yaml(GRIDS).items()}
    return {name: panel(titles[name], _read(path)) for name, path in tables.items() if path.exists()}


def _read(path: Path) -> list[Point]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = []
    for row in rows:
        numbers = {name: float(row[name] or "nan") for name in ("score", "low", "high", "published")}
        size = int(row["trainable_parameters"]) if row["trainable_parameters"] else None
        points.append(Point(**row | numbers | {"trainable_parameters": size}))
    return points


@figures.styled
def panel(title: str, points: Sequence[Point]) -> Figure:
    """One panel per task: scores with intervals by setting, and crosses for the paper's own where it prints them.

    One method is shown in and out of domain, as in figure 3 of the paper, several by their averages.
    """
    tasks, methods, labels = (list(dict.fromkeys(getattr(p, name) for p in points)) for name in Point._fields[:3])
    series = [(methods[0], IN_DOMAIN), (methods[0], OUT_OF_DOMAIN)]
    if len(methods) > 1:
        series = [(method, AVERAGE) for method in methods]
    figure = figures.blank(3.6 * len(tasks) + 1.4, 3.2)
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for place, (method, part) in enumerate(series):
            here = [p for p in points if (p.task, p.method, p.average) == (task, method, part)]
            shift = 0.12 * (place - (len(series) - 1) / 2)
            name, colour = part if len(methods) == 1 else method, figures.PALETTE[place + 1]
            _draw(axes, [labels.index(p.value) + shift for p in here], here, name, colour)
        sizes = {p.value: p.trainable_parameters for p in points}
        axes.set_xticks(range(len(labels)), [_tick(label, sizes[label]) for label in labels])
        axes.set(xlabel=title, ylabel=f"{_called(points[0].metric)} (%)", title=task)
        axes.grid(axis="y")
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return figure


def _draw(axes: Axes, x: Sequence[float], points: Sequence[Point], name: str, colour: str) -> None:
    value, low, high, published = np.array([(p.score, p.low, p.high, p.published) for p in points]).reshape(-1, 4).T
    axes.errorbar(x, value, yerr=[value - low, high - value], fmt="o-", color=colour, capsize=3, label=name)
    if np.isfinite(published).any():
        axes.plot(x, published, "x", color=colour, ms=7, label=f"{name}, published")


def _tick(label: str, size: int | None) -> str:
    return label if size is None or label == thousands(size) else f"{label}\n({size:,})"


def _called(column: str) -> str:
    """Returns what tables call a column of scores."""
    metrics = [load_metric(name) for name in metric_names()]
    return next((metric.columns[column] for metric in metrics if column in metric.columns), column)
