"""The report's figures, drawn once and written as SVG and PNG that are the same bytes on every run."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ptmoe.reporting.analysis import TaskAnalysis
from ptmoe.reporting.cells import TaskRun, parameters_of
from ptmoe.reporting.tables import efficiency
from ptmoe.runtime.files import whole_file, write_text
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN
from ptmoe.statistics.estimates import Estimate
from ptmoe.statistics.routing import RoutingSummary

P = ParamSpec("P")
R = TypeVar("R")

# Readable on white and on dark; the first is grey because the first method is the reference.
PALETTE = (
    "#8a8a8a", "#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#c9a227", "#3fa7a0", "#9c755f", "#e15759", "#ff7fa7",
)  # fmt: skip
# A placeholder for the page's text colour.
INK = "#17191c"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "ptmoe",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.0,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Runs a drawing function in the report's style."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def colour_of(method: str, methods: Sequence[str]) -> str:
    """Returns a method's colour by its place in the parameters."""
    return PALETTE[list(methods).index(method) % len(PALETTE)]


def blank(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, stem: Path) -> None:
    """Writes `stem`.svg and `stem`.png, without dates or versions, on white."""
    write_text(stem.with_name(f"{stem.name}.svg"), _svg(figure, "white"))
    with mpl.rc_context(_STYLE), whole_file(stem.with_name(f"{stem.name}.png")) as temporary:
        figure.savefig(temporary, format="png", dpi=160, facecolor="white", metadata={"Software": None})


def inline(figure: Figure) -> str:
    """Returns the figure as an SVG element that takes the page's text colour and width."""
    svg = _svg(figure, "none")
    svg = re.sub(r"#17191c", "currentColor", svg[svg.index("<svg") :])
    svg = re.sub(r'<svg([^>]*?) width="[\d.]+pt"', r"<svg\1", svg, count=1)
    svg = re.sub(r'<svg([^>]*?) height="[\d.]+pt"', r"<svg\1", svg, count=1)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)


def _svg(figure: Figure, background: str) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", facecolor=background, metadata={"Date": None, "Creator": None})
    # Trailing blanks in paths would trip checks of committed files.
    return re.sub(r"[ \t]+$", "", buffer.getvalue(), flags=re.MULTILINE)


def _percent(estimate: Estimate) -> tuple[float, float, float]:
    return 100 * estimate.value, 100 * (estimate.value - estimate.low), 100 * (estimate.high - estimate.value)


# --- figures -------------------------------------------------------------------------------------------------------


@styled
def training_loss(run: TaskRun) -> Figure | None:
    """Training loss by step, the mean over seeds as a line and their range as a band; None without logs."""
    return _by_step(run, "loss", 1.0, "training loss")


@styled
def validation_exact(run: TaskRun) -> Figure | None:
    """Share of validation rows with an exact answer by step: how soon a method learns (paper, figure 4)."""
    return _by_step(run, "validation_exact", 100.0, "exact validation answers (%)")


def _by_step(run: TaskRun, column: str, scale: float, label: str) -> Figure | None:
    logged = [method for method in run.methods if _curves(run, method, column)]
    if not logged:
        return None
    figure = blank(6.4, 3.6)
    axes = figure.subplots()
    for method in logged:
        curves = _curves(run, method, column)
        steps = np.unique(np.concatenate([log["step"] for log in curves]))
        table = scale * np.array([_on_steps(log, column, steps) for log in curves])
        seen = np.isfinite(table).any(axis=0)
        colour = colour_of(method, run.methods)
        axes.plot(steps[seen], np.nanmean(table[:, seen], axis=0), color=colour, label=method)
        if len(curves) > 1:
            low, high = np.nanmin(table[:, seen], axis=0), np.nanmax(table[:, seen], axis=0)
            axes.fill_between(steps[seen], low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="step", ylabel=label, title=run.task)
    axes.grid(axis="y")
    figure.legend(loc="outside right upper")
    return figure


def _curves(run: TaskRun, method: str, column: str) -> list[dict[str, np.ndarray]]:
    """Returns the logs with more than one value of a column: a method that takes no step has no curve."""
    logs = [run.cells[method, seed].log for seed in run.seeds]
    return [log for log in logs if np.isfinite(log.get(column, [])).sum() > 1]


def _on_steps(log: Mapping[str, np.ndarray], column: str, steps: np.ndarray) -> np.ndarray:
    values = np.full(len(steps), np.nan)
    values[np.searchsorted(steps, log["step"])] = log[column]
    return values


@styled
def scores(analysis: TaskAnalysis) -> Figure:
    """Average score of each method with its interval, best on top; in-domain and out-of-domain as small marks."""
    methods = analysis.ranked()[::-1]
    figure = blank(6.4, 0.9 + 0.32 * len(methods))
    axes = figure.subplots()
    for row, method in enumerate(methods):
        colour = colour_of(method, analysis.run.methods)
        value, below, above = _percent(analysis.estimate(method))
        axes.errorbar(value, row, xerr=[[below], [above]], fmt="o", color=colour, ms=6, capsize=3)
        for part, mark in ((IN_DOMAIN, ">"), (OUT_OF_DOMAIN, "<")):
            if part in analysis.parts:
                x = 100 * analysis.estimate(method, part).value
                axes.plot(x, row, mark, mfc="none", mec=colour, ms=5, mew=1)
    axes.set_yticks(range(len(methods)), methods)
    axes.set(
        xlabel=f"{analysis.label()} (%)",
        title=f"{analysis.run.task}: average with interval",
        ylim=(-0.6, len(methods) - 0.4),
    )
    axes.grid(axis="x")
    _mark_legend(axes)
    return figure


def _mark_legend(axes: Axes) -> None:
    for mark, fill, label in (("o", INK, "average"), (">", "none", "in-domain"), ("<", "none", "out-of-domain")):
        axes.plot([], [], mark, mfc=fill, mec=INK, ms=5, label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


@styled
def score_by_parameters(analysis: TaskAnalysis) -> Figure:
    """Average score against trainable parameters, on a logarithmic axis; a method without any is a dashed line."""
    run = analysis.run
    figure = blank(6.4, 3.8)
    axes = figure.subplots()
    points = []
    for method in analysis.scored_methods:
        parameters = parameters_of(run, method)
        value, below, above = _percent(analysis.estimate(method))
        colour = colour_of(method, run.methods)
        if not parameters:
            axes.axhline(value, color=colour, linestyle=(0, (4, 3)), linewidth=1)
            axes.annotate(method, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=colour)
            continue
        axes.errorbar(parameters, value, yerr=[[below], [above]], fmt="o", color=colour, ms=6, capsize=3)
        points.append((parameters, value, method, colour))
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if points:
        # At least a decade, so that near equal sizes look near equal and have a labelled tick.
        axes.set_xlim(10 ** np.floor(np.log10(min(x for x, *_ in points) / 1.5)), 4 * max(x for x, *_ in points))
    axes.margins(y=0.1)
    axes.set(
        xlabel="trainable parameters",
        ylabel=f"{analysis.label()} (%)",
        title=f"{run.task}: average by size",
    )
    axes.grid()
    figure.draw_without_rendering()
    _label(axes, points)
    return figure


def _label(axes: Axes, points: list[tuple[float, float, str, str]]) -> None:
    """Names each point beside it, and moves overlapping names apart."""
    pixels = axes.transData.transform([(x, y) for x, y, _, _ in points]) if points else np.zeros((0, 2))
    taken: list[tuple[float, float]] = []
    for index in np.argsort([-y for _, y in pixels], kind="stable"):
        _, _, name, colour = points[index]
        x, y = pixels[index]
        height = y
        while any(abs(x - other_x) < 75 and abs(height - other_y) < 13 for other_x, other_y in taken):
            height -= 3
        taken.append((x, height))
        offset = (9, (height - y) * 72 / axes.figure.dpi - 3)
        axes.annotate(name, points[index][:2], xytext=offset, textcoords="offset points", color=colour)


@styled
def score_by_steps(analysis: TaskAnalysis) -> Figure | None:
    """Average score against the steps that a method takes, its area by trainable parameters (paper, figure 4).

    The steps are those to half of the task's best share of exact validation answers, the mean over seeds; a method
    with a seed that never got there is left out, as is one that trains nothing. None where none is left.
    """
    run = analysis.run
    points, areas = [], []
    for method in analysis.scored_methods:
        steps = [efficiency(run, method, seed)["steps_to_half"] for seed in run.seeds]
        parameters = parameters_of(run, method)
        if parameters and None not in steps:
            score = 100 * analysis.estimate(method).value
            points.append((float(np.mean(np.array(steps, float))), score, method, colour_of(method, run.methods)))
            areas.append(_area(parameters))
    if not points:
        return None
    figure = blank(6.4, 3.8)
    axes = figure.subplots()
    axes.scatter([x for x, *_ in points], [y for _, y, *_ in points], s=areas, c=[c for *_, c in points], alpha=0.75)
    axes.margins(x=0.25, y=0.15)
    axes.set(
        xlabel="steps to half of the best share of exact validation answers",
        ylabel=f"{analysis.label()} (%)",
        title=f"{run.task}: average by steps and size",
    )
    axes.grid()
    sizes = [parameters_of(run, method) or 1 for _, _, method, _ in points]
    for power in sorted({int(np.floor(np.log10(size))) for size in sizes}):
        axes.scatter([], [], s=_area(10**power), facecolor="none", edgecolor=INK, label=f"{10**power:,} parameters")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), labelspacing=1.2)
    figure.draw_without_rendering()
    _label(axes, points)
    return figure


def _area(parameters: int) -> float:
    """Returns a marker's area, which grows with the logarithm: sizes span four orders of magnitude."""
    return 40 * (np.log10(parameters) - 1) + 10


@styled
def routing(task: str, summaries: Mapping[str, RoutingSummary]) -> Figure | None:
    """Share of each data set's examples that each expert receives, one panel per method; None without a router."""
    if not summaries:
        return None
    heights = [summary.num_experts for summary in summaries.values()]
    widest = max(len(summary.datasets) for summary in summaries.values())
    figure = blank(max(6.4, 2.4 + 0.5 * widest), 1.4 + 0.26 * sum(heights) + 0.26 * len(heights))
    panels = figure.subplots(len(summaries), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (method, summary) in zip(panels, summaries.items(), strict=True):
        image = axes.imshow(summary.by_dataset.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for expert in range(summary.num_experts):
            for column, share in enumerate(summary.by_dataset[:, expert]):
                ink = "white" if share > 0.6 else "#222222"
                axes.text(column, expert, f"{100 * share:.0f}", ha="center", va="center", color=ink, fontsize=8)
        axes.set_yticks(range(summary.num_experts), [f"expert {index}" for index in range(summary.num_experts)])
        axes.set_title(f"{method}{' (collapsed)' if summary.collapsed else ''}", loc="left")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[-1].set_xticks(range(widest), summary.datasets, rotation=35, ha="right", rotation_mode="anchor")
    bar = figure.colorbar(image, ax=list(panels), shrink=0.8, aspect=18, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
    bar.outline.set_visible(False)
    figure.suptitle(f"{task}: share of each data set", fontsize=10)
    return figure
