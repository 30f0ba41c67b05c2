"""The report's figures, drawn once and written as SVG and PNG that are the same bytes on every run."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ptmoe.reporting.analysis import TaskAnalysis
from ptmoe.reporting.cells import TaskRun
from ptmoe.reporting.tables import efficiency
from ptmoe.runtime.files import whole_file, write_text
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN
from ptmoe.statistics.estimates import Estimate

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


def styled():
    """Returns the report's style, as a decorator of drawing functions or as a context."""
    return mpl.rc_context(_STYLE)


def colour_of(method: str, methods: Sequence[str]) -> str:
    """Returns a method's colour by its place in the parameters."""
    return PALETTE[list(methods).index(method) % len(PALETTE)]


def blank(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, stem: Path) -> str:
    """Writes `stem`.svg and `stem`.png, without dates or versions, on white; returns the SVG's text."""
    buffer = io.StringIO()
    with styled(), whole_file(stem.with_name(f"{stem.name}.png")) as temporary:
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")  # the layout stays; to find it again takes longer than to draw
        figure.savefig(temporary, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    # Trailing blanks in paths would trip checks of committed files.
    svg = re.sub(r"[ \t]+$", "", buffer.getvalue(), flags=re.MULTILINE)
    write_text(stem.with_name(f"{stem.name}.svg"), svg)
    return svg


def inline(svg: str) -> str:
    """Returns a saved figure as an SVG element that takes the page's background, text colour and width."""
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'(id="patch_1">.*?style="fill:) #ffffff', r"\1 none", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)


def _chart(height: float, grid: Any = "both", **labels: Any) -> tuple[Figure, Axes]:
    """Returns an empty figure of the page's width and its axes."""
    figure = blank(6.4, height)
    axes = figure.subplots()
    axes.set(**labels)
    axes.grid(axis=grid)
    return figure, axes


def curve(axes: Axes, x: Sequence[float] | np.ndarray, rows: Any, **look: Any) -> None:
    """Draws a line through values with their intervals, [n, 3]: value, low, high."""
    value, low, high = np.array(rows, dtype=float).reshape(-1, 3).T
    axes.errorbar(x, value, yerr=[value - low, high - value], fmt="o-", capsize=3, **look)


def _percent(estimate: Estimate) -> tuple[float, list[list[float]]]:
    """Returns a score in percent, and how far its interval reaches below and above."""
    return 100 * estimate.value, [[100 * (estimate.value - estimate.low)], [100 * (estimate.high - estimate.value)]]


# --- figures -------------------------------------------------------------------------------------------------------


def draw(analysis: TaskAnalysis) -> dict[str, Figure]:
    """Returns {kind: figure} of one task, those that it has the numbers for."""
    drawn = {
        "scores": scores(analysis),
        "parameters": score_by_parameters(analysis),
        "steps": score_by_steps(analysis),
        "loss": by_step(analysis.run, "loss", 1.0, "training loss"),
        "exact": by_step(analysis.run, "validation_exact", 100.0, "exact validation answers (%)"),
        "routing": routing(analysis.run),
    }
    return {kind: figure for kind, figure in drawn.items() if figure is not None}


@styled()
def by_step(run: TaskRun, column: str, scale: float, label: str) -> Figure | None:
    """A column of the logs by step, the mean over seeds as a line and their range as a band; None without logs.

    A method that takes no step has no curve. The share of exact answers shows how soon a method learns (figure 4).
    """
    curves: dict[str, list[Any]] = {}
    for (method, _), result in run.cells.items():
        if column in result.log and np.isfinite(result.log[column]).sum() > 1:
            curves.setdefault(method, []).append(scale * result.log.groupby("step")[column].last())
    if not curves:
        return None
    figure, axes = _chart(3.6, "y", xlabel="step", ylabel=label, title=run.task)
    for method, seeds in curves.items():
        table = pd.concat(seeds, axis=1).sort_index().dropna(how="all")
        colour = colour_of(method, run.methods)
        axes.plot(table.index, table.mean(axis=1), color=colour, label=method)
        if len(seeds) > 1:
            axes.fill_between(table.index, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.15, linewidth=0)
    figure.legend(loc="outside right upper")
    return figure


@styled()
def scores(analysis: TaskAnalysis) -> Figure:
    """Average score of each method with its interval, best on top; in-domain and out-of-domain as small marks."""
    methods = analysis.ranked()[::-1]
    title, label = f"{analysis.run.task}: average with interval", f"{analysis.label()} (%)"
    figure, axes = _chart(0.9 + 0.32 * len(methods), "x", xlabel=label, title=title, ylim=(-0.6, len(methods) - 0.4))
    for row, method in enumerate(methods):
        colour = colour_of(method, analysis.run.methods)
        value, around = _percent(analysis.estimate(method))
        axes.errorbar(value, row, xerr=around, fmt="o", color=colour, ms=6, capsize=3)
        for part, mark in ((IN_DOMAIN, ">"), (OUT_OF_DOMAIN, "<")):
            if part in analysis.parts:
                x = 100 * analysis.estimate(method, part).value
                axes.plot(x, row, mark, mfc="none", mec=colour, ms=5, mew=1)
    axes.set_yticks(range(len(methods)), methods)
    for mark, fill, label in (("o", INK, "average"), (">", "none", "in-domain"), ("<", "none", "out-of-domain")):
        axes.plot([], [], mark, mfc=fill, mec=INK, ms=5, label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@styled()
def score_by_parameters(analysis: TaskAnalysis) -> Figure:
    """Average score against trainable parameters, on a logarithmic axis; a method without any is a dashed line."""
    run = analysis.run
    title, label = f"{run.task}: average by size", f"{analysis.label()} (%)"
    figure, axes = _chart(3.8, xlabel="trainable parameters", ylabel=label, title=title, xscale="log")
    points = []
    for method in analysis.scored_methods:
        parameters = run.parameters(method)
        value, around = _percent(analysis.estimate(method))
        colour = colour_of(method, run.methods)
        if not parameters:
            axes.axhline(value, color=colour, linestyle=(0, (4, 3)), linewidth=1)
            axes.annotate(method, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=colour)
            continue
        axes.errorbar(parameters, value, yerr=around, fmt="o", color=colour, ms=6, capsize=3)
        points.append((parameters, value, method, colour))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if points:
        # At least a decade, so that near equal sizes look near equal and have a labelled tick.
        axes.set_xlim(10 ** np.floor(np.log10(min(x for x, *_ in points) / 1.5)), 4 * max(x for x, *_ in points))
    axes.margins(y=0.1)
    figure.draw_without_rendering()
    _label(axes, points)
    return figure


def _label(axes: Axes, points: list[tuple[float, float, str, str]], gaps: Sequence[float] = ()) -> None:
    """Names each point beside it, 9 typographic points or its gap away, and moves overlapping names apart."""
    pixels = axes.transData.transform([(x, y) for x, y, _, _ in points]) if points else np.zeros((0, 2))
    taken: list[tuple[float, float]] = []
    for index in np.argsort([-y for _, y in pixels], kind="stable"):
        _, _, name, colour = points[index]
        x, y = pixels[index]
        height = y
        while any(abs(x - other_x) < 75 and abs(height - other_y) < 13 for other_x, other_y in taken):
            height -= 3
        taken.append((x, height))
        offset = (gaps[index] if gaps else 9, (height - y) * 72 / axes.figure.dpi - 3)
        axes.annotate(name, points[index][:2], xytext=offset, textcoords="offset points", color=colour)


@styled()
def score_by_steps(analysis: TaskAnalysis) -> Figure | None:
    """Average score against the steps that a method takes, its area by trainable parameters (paper, figure 4).

    The steps are those to half of the task's best share of exact validation answers, the mean over seeds; a method
    with a seed that never got there is left out, as is one that trains nothing. None where none is left.
    """
    run = analysis.run
    points, areas = [], []
    for method in analysis.scored_methods:
        steps = [efficiency(run, method, seed).steps_to_half for seed in run.seeds]
        parameters = run.parameters(method)
        if parameters and None not in steps:
            score = 100 * analysis.estimate(method).value
            points.append((float(np.mean(np.array(steps, float))), score, method, colour_of(method, run.methods)))
            areas.append(_area(parameters))
    if not points:
        return None
    figure, axes = _chart(
        3.8,
        xlim=(0, 1.35 * max(1, *(x for x, *_ in points))),
        xlabel="steps to half of the best share of exact validation answers",
        ylabel=f"{analysis.label()} (%)",
        title=f"{run.task}: average by steps and size",
    )
    axes.scatter([x for x, *_ in points], [y for _, y, *_ in points], s=areas, c=[c for *_, c in points], alpha=0.75)
    axes.margins(y=0.15)
    sizes = [run.parameters(method) or 1 for _, _, method, _ in points]
    for power in sorted({int(np.floor(np.log10(size))) for size in sizes}):
        axes.scatter([], [], s=_area(10**power), facecolor="none", edgecolor=INK, label=f"{10**power:,} parameters")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), labelspacing=1.2)
    figure.draw_without_rendering()
    _label(axes, points, gaps=[5 + np.sqrt(area / np.pi) for area in areas])
    return figure


def _area(parameters: int) -> float:
    """Returns a marker's area, by the fourth root: sizes span four orders of magnitude."""
    return 3.0 * parameters**0.25


@styled()
def routing(run: TaskRun) -> Figure | None:
    """Share of each data set's examples that each expert receives, one panel per method; None without a router."""
    # The first seed of each method.
    summaries = {method: summary for (method, _), summary in reversed(run.routing.items())}
    summaries = {method: summaries[method] for method in run.methods if method in summaries}
    if not summaries:
        return None
    heights = [summary.num_experts for summary in summaries.values()]
    widest = max(len(summary.datasets) for summary in summaries.values())
    figure = blank(max(6.4, 2.4 + 0.5 * widest), 1.4 + 0.26 * sum(heights) + 0.26 * len(heights))
    panels = figure.subplots(len(summaries), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (method, summary) in zip(panels, summaries.items(), strict=True):
        shares, experts = summary.by_dataset[:, summary.experts_by_kind], summary.experts_by_kind
        image = axes.imshow(shares.T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row in range(summary.num_experts):
            for column, share in enumerate(shares[:, row]):
                ink = "white" if share > 0.6 else "#222222"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=ink, fontsize=8)
        axes.set_yticks(range(summary.num_experts), [f"expert {expert}" for expert in experts])
        axes.set_title(f"{method}{' (collapsed)' if summary.collapsed else ''}", loc="left")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[-1].set_xticks(range(widest), summary.datasets, rotation=35, ha="right", rotation_mode="anchor")
    bar = figure.colorbar(image, ax=list(panels), shrink=0.8, aspect=18, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0 %", "50 %", "100 %"])
    bar.outline.set_visible(False)
    figure.suptitle(f"{run.task}: share of each data set", fontsize=10)
    return figure
