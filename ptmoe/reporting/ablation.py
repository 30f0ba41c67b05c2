"""Named grids of settings: what to queue, which experiments hold the results, and the figure of them."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ruamel.yaml import YAML

from ptmoe.config.cells import Cell
from ptmoe.config.params import Params, read_yaml
from ptmoe.reporting import figures
from ptmoe.reporting.analysis import parts_of
from ptmoe.reporting.compare import experiments, read_if_there
from ptmoe.reporting.published import published
from ptmoe.reporting.tables import percents, write_csv
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN
from ptmoe.scoring.cell import read_datasets
from ptmoe.scoring.metric import Metric
from ptmoe.statistics.clusters import clusters_of
from ptmoe.statistics.estimates import Estimate, Resampling

GRIDS = Path(__file__).parent / "grids.yaml"


@dataclass(frozen=True)
class Grid:
    """A named ablation.

    Attributes:
        settings: {label: {key of params.yaml: value}}.
    """

    name: str
    title: str
    method: str
    settings: dict[str, dict[str, Any]]


def read_grid(name: str, profile: str) -> Grid:
    """Reads a grid; `{profile}` in its keys is filled in.

    Raises:
        ScoringError: there is no grid of that name.
    """
    grids = read_yaml(GRIDS)
    if name not in grids:
        raise ScoringError(f"unknown ablation {name!r}; allowed: {', '.join(grids)}")
    entry = grids[name]
    settings = {
        label: {key.replace("{profile}", profile): value for key, value in keys.items()}
        for label, keys in entry["settings"].items()
    }
    return Grid(name, entry["title"], entry["method"], settings)


def queue_command(grid: Grid, label: str, tasks: Sequence[str]) -> list[str]:
    """Returns the command that queues one setting for the grid's method alone."""
    keys = {"methods": f"[{grid.method}]", "tasks": f"[{','.join(tasks)}]"} | grid.settings[label]
    name = "".join(sign if sign.isalnum() else "-" for sign in f"{grid.name}-{label}").lower()
    changes = [part for key, value in keys.items() for part in ("-S", f"{key}={_shown(value)}")]
    return ["dvc", "exp", "run", "--queue", "--name", name, *changes]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def find_experiments(grid: Grid) -> dict[str, str]:
    """Returns {label: revision} of the settings that an experiment, or HEAD, was run with, whatever its name.

    Only experiments whose other settings of the method and profile are those of params.yaml count; the last one wins.
    """
    here = read_yaml("params.yaml")
    found = {}
    for name in ["HEAD", *experiments()]:
        there = _params_at(experiments().get(name, name))
        for label, settings in grid.settings.items():
            if there is not None and _same_but(here, there, grid, settings):
                found[label] = name
    return {label: found[label] for label in grid.settings if label in found}


def _params_at(commit: str) -> dict[str, Any] | None:
    shown = subprocess.run(["git", "show", f"{commit}:params.yaml"], capture_output=True, text=True)
    return YAML(typ="safe", pure=True).load(shown.stdout) if shown.returncode == 0 else None


def _same_but(here: dict, there: dict, grid: Grid, settings: dict[str, Any]) -> bool:
    """Tells whether `there` has the settings and otherwise equals `here` in all that the method's runs depend on."""
    varied = {key for keys in grid.settings.values() for key in keys}
    if any(_at(there, key) != value for key, value in settings.items()):
        return False
    roots = [grid.method, "profile", f"profiles.{here['profile']}"]
    return all(_without(here, root, varied) == _without(there, root, varied) for root in roots)


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _without(tree: dict, root: str, varied: set[str]) -> Any:
    def pruned(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: pruned(each, f"{path}.{key}") for key, each in value.items() if f"{path}.{key}" not in varied}

    return pruned(_at(tree, root), root)


@dataclass(frozen=True)
class Point:
    """One setting's score in one domain."""

    task: str
    label: str
    part: str
    metric: Metric
    estimate: Estimate
    revision: str


def collect(grid: Grid, revisions: dict[str, str], tasks: Sequence[str], params: Params) -> list[Point]:
    """Reads the scores of each setting and estimates its averages in and out of domain."""
    statistics = params.grid.statistics
    points = []
    for task in tasks:
        domains = {name: entry["domain"] for name, entry in read_datasets(Path("data/split") / task).items()}
        for label, revision in revisions.items():
            cells = [Cell(task, grid.method, seed) for seed in params.grid.seeds]
            found = [scored for cell in cells if (scored := read_if_there(cell, revision)) is not None]
            if not found:
                continue
            metric = found[0].metric
            scores = _stacked([each.columns for each in found], metric.headline)
            parts = parts_of(list(scores), domains)
            name = f"{grid.name}/{task}/{label}"
            options = statistics.confidence, statistics.resamples
            resampling = Resampling(scores, *options, name, clusters=clusters_of(found[0].columns))
            points += [
                Point(task, label, part, metric, resampling.estimate(parts[part]), revision)
                for part in (IN_DOMAIN, OUT_OF_DOMAIN)
                if part in parts
            ]
    return points


def _stacked(seeds: list[dict[str, list]], column: str) -> dict[str, np.ndarray]:
    """Returns [S, n] of each data set; all seeds score the same examples in the same order."""
    dataset = np.array(seeds[0]["dataset"], dtype=object)
    table = np.array([seed[column] for seed in seeds], dtype=float)
    return {name: table[:, dataset == name] for name in dict.fromkeys(seeds[0]["dataset"])}


def write(grid: Grid, points: Sequence[Point], out: Path) -> None:
    """Writes `out`/<name>.csv, .svg and .png."""
    header = ["task", "value", "average", "metric", "score", "low", "high", "revision"]
    rows = [[p.task, p.label, p.part, p.metric.headline, *percents(p.estimate), p.revision] for p in points]
    write_csv(out / f"{grid.name}.csv", header, rows)
    figures.save(panel(grid, points), out / grid.name)


@figures.styled
def panel(grid: Grid, points: Sequence[Point]) -> Figure:
    """One panel per task, as in figure 3 of the paper: in-domain and out-of-domain scores with intervals by setting."""
    tasks = list(dict.fromkeys(point.task for point in points))
    figure = figures.blank(3.6 * max(len(tasks), 1) + 1.4, 3.2)
    labels = list(grid.settings)
    for axes, task in zip(figure.subplots(1, max(len(tasks), 1), squeeze=False)[0], tasks, strict=False):
        metric: Metric | None = None
        for shift, (part, colour) in enumerate(((IN_DOMAIN, figures.PALETTE[1]), (OUT_OF_DOMAIN, figures.PALETTE[2]))):
            here = [p for p in points if (p.task, p.part) == (task, part) and not math.isnan(p.estimate.value)]
            if not here:
                continue
            metric = here[0].metric
            x = [labels.index(p.label) + 0.06 * (2 * shift - 1) for p in here]
            value, low, high = np.array([percents(p.estimate) for p in here]).T
            axes.errorbar(x, value, yerr=[value - low, high - value], fmt="o-", color=colour, capsize=3, label=part)
            _add_published(axes, grid, shift, metric, colour)
        axes.set_xticks(range(len(labels)), labels)
        axes.set(xlabel=grid.title, ylabel=f"{metric.columns[metric.headline]} (%)" if metric else "", title=task)
        axes.grid(axis="y")
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return figure


def _add_published(axes: Any, grid: Grid, domain: int, metric: Metric, colour: str) -> None:
    """Marks the points that the paper prints, which are F1 of its base model."""
    printed = published()["ablations"].get(grid.name, {})
    base = read_yaml("params.yaml")["profile"] if Path("params.yaml").exists() else ""
    marks = [(at, printed[label][domain]) for at, label in enumerate(grid.settings) if label in printed]
    marks = [(at, value) for at, value in marks if value is not None]
    if marks and metric.headline == "f1" and base == "paper":
        axes.plot(*zip(*marks, strict=True), "x", color=colour, ms=7, label="published")
