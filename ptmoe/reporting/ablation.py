"""The scores of a grid's settings, wherever they were made, as a table and as a panel of figure 3."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ptmoe.config.cells import Cell
from ptmoe.config.faults import value_at
from ptmoe.config.params import Params, read_yaml
from ptmoe.config.plan import make_plans, read_stages
from ptmoe.reporting import figures
from ptmoe.reporting.analysis import AVERAGE, parts_of
from ptmoe.reporting.grids import GRIDS, Grid, thousands
from ptmoe.reporting.numbers import percents, write_csv
from ptmoe.reporting.published import ablation_point
from ptmoe.reporting.revisions import holds, read_if_there, revisions, workspace_hashes
from ptmoe.reporting.scored import Scored, beside, by_dataset
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
    stages = {name: stage for name, stage in read_stages().items() if name not in ("plan", "report")}
    found: Found = {}
    for label, setting in grid.settings.items():
        changed = setting.applied_to(tree | {"tasks": list(tasks), "methods": grid.methods})
        planned = {str(path): md5(plan.text().encode()).hexdigest() for path, plan in make_plans(changed).items()}
        for cell in grid_cells(grid, tasks, params):
            for revision in known:
                if holds(revision, cell, stages, changed, planned, hash_of):
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
    papers = params.grid.profile == PAPER
    points = []
    for task in tasks:
        domains = {name: entry["domain"] for name, entry in read_datasets(Path("data/split") / task).items()}
        for (label, setting), method in itertools.product(grid.settings.items(), grid.methods):
            cells = [(label, Cell(task, method, seed)) for seed in params.grid.seeds]
            held = [found[cell] for cell in cells if cell in found]
            if not held:
                continue
            metric, first = held[0][1].metric, held[0][1].table
            tables = {number: scored.table for number, (_, scored) in enumerate(held)}
            scores = by_dataset(beside(tables, metric.headline))
            name, clusters = f"{grid.name}/{task}/{label}/{method}", clusters_of(first)
            resampling = Resampling(scores, statistics.confidence, statistics.resamples, name, clusters=clusters)
            base = value_at(setting.applied_to(tree), ["profiles", params.grid.profile, "base", "name"])
            revision = " ".join(dict.fromkeys(each for each, _ in held))
            parts = parts_of(list(scores), domains)
            for part in [each for each in (IN_DOMAIN, OUT_OF_DOMAIN, AVERAGE) if each in parts]:
                series = part if len(grid.methods) == 1 else f"{method} {part}"
                printed = ablation_point(grid.name, label, series, metric.headline, base if papers else "")
                row = task, method, label, setting.parameters, part, metric.headline
                score, low, high = percents(resampling.estimate(parts[part]))
                points.append(Point(*row, score, low, high, printed, base, revision))
    return points


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
    table = pd.read_csv(path, dtype={"value": str, "trainable_parameters": "Int64"})
    return [Point(*row) for row in table.itertuples(index=False)]


@figures.styled()
def panel(title: str, points: Sequence[Point]) -> Figure:
    """One panel a task: scores with intervals by setting, and as crosses what the paper prints.

    One method is shown in and out of domain, as in figure 3 of the paper, several by their averages.
    """
    tasks, methods, labels = (list(dict.fromkeys(getattr(p, name) for p in points)) for name in Point._fields[:3])
    series = [(methods[0], IN_DOMAIN), (methods[0], OUT_OF_DOMAIN)]
    if len(methods) > 1:
        series = [(method, AVERAGE) for method in methods]
    figure = figures.blank(3.6 * len(tasks) + 1.4, 3.2)
    sizes = {p.value: p.trainable_parameters for p in points}
    legend = {}
    for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for place, (method, part) in enumerate(series):
            here = [p for p in points if (p.task, p.method, p.average) == (task, method, part)]
            shift = 0.03 * len(labels) * (place - (len(series) - 1) / 2)
            x, colour = [labels.index(p.value) + shift for p in here], figures.PALETTE[place + 1]
            name = part if len(methods) == 1 else method
            figures.curve(axes, x, [(p.score, p.low, p.high) for p in here], color=colour, label=name)
            published = [p.published for p in here]
            if np.isfinite(published).any():
                axes.plot(x, published, "x", color=colour, ms=7, label="published")
        axes.set_xticks(range(len(labels)), [_tick(label, sizes[label]) for label in labels])
        metric = next(p.metric for p in points if p.task == task)
        axes.set(xlabel=title, ylabel=f"{_called(metric)} (%)", title=task)
        axes.grid(axis="y")
        handles, names = axes.get_legend_handles_labels()
        legend |= dict(zip(names, handles, strict=True))
    figure.legend(legend.values(), legend.keys(), loc="outside right upper")
    return figure


def _tick(label: str, size: Any) -> str:
    return label if pd.isna(size) or label == thousands(size) else f"{label}\n({size:,})"


def _called(column: str) -> str:
    """Returns what tables call a column of scores."""
    metrics = [load_metric(name) for name in metric_names()]
    return next((metric.columns[column] for metric in metrics if column in metric.columns), column)
