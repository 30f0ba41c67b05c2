"""The report's tables as CSV, long form, and the leaderboard as Markdown."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ptmoe.reporting.analysis import AVERAGE, TaskAnalysis
from ptmoe.reporting.cells import TaskRun, best_exact, parameters_of
from ptmoe.reporting.forced import ForcedExperts
from ptmoe.reporting.published import table_for
from ptmoe.runtime.files import write_text
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN
from ptmoe.statistics.estimates import Estimate
from ptmoe.statistics.routing import RoutingSummary

Rows = list[list[object]]
NOTHING = "\u2013"


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes rows with Unix line ends; floats have at most six significant digits, None and NaN are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    write_text(path, buffer.getvalue())


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def percents(estimate: Estimate) -> list[float]:
    """Returns value, low and high in percent with two decimals."""
    return [round(100 * number, 2) for number in (estimate.value, estimate.low, estimate.high)]


def floor_percent(value: float) -> float:
    """Cuts a share to a percentage with two decimals, as the paper prints its scores."""
    return math.floor(round(value * 10_000, 6)) / 100


# --- CSV -----------------------------------------------------------------------------------------------------------


def write_curves(runs: Sequence[TaskRun], path: Path) -> None:
    """Writes each logged loss: task, method, seed, step, split, loss."""
    rows: Rows = []
    for run in runs:
        for (method, seed), result in run.cells.items():
            for split, column in (("train", "loss"), ("validation", "validation_loss")):
                pairs = zip(result.log.get("step", []), result.log.get(column, []), strict=False)
                rows += [
                    [run.task, method, seed, int(step), split, float(loss)] for step, loss in pairs if loss == loss
                ]
    write_csv(path, ["task", "method", "seed", "step", "split", "loss"], rows)


def write_scores(analyses: Sequence[TaskAnalysis], out: Path) -> None:
    """Writes scores.csv (one row per data set) and leaderboard.csv (one row per average): percent, with intervals."""
    by_dataset: Rows = []
    averages: Rows = []
    for analysis in analyses:
        run = analysis.run
        for (method, column, part), estimate in analysis.estimates.items():
            if math.isnan(estimate.value):
                continue
            row: list[object] = [run.task, method, column]
            if part in (AVERAGE, IN_DOMAIN, OUT_OF_DOMAIN):
                averages.append([*row, part, *percents(estimate), parameters_of(run, method)])
            else:
                domain = run.datasets.get(part, {}).get("domain", "")
                by_dataset.append([*row, part, domain, *percents(estimate), analysis.counts.get(part)])
    columns = ["score", "low", "high"]
    write_csv(out / "scores.csv", ["task", "method", "metric", "dataset", "domain", *columns, "examples"], by_dataset)
    header = ["task", "method", "metric", "average", *columns, "trainable_parameters"]
    write_csv(out / "leaderboard.csv", header, averages)


def write_comparisons(analyses: Sequence[TaskAnalysis], path: Path) -> None:
    """Writes every pair of methods: difference and interval in points, p-values, smallest detectable difference."""
    rows: Rows = [
        [
            analysis.run.task,
            analysis.headline,
            each.first,
            each.second,
            *percents(each.difference),
            each.p_examples,
            each.p,
            each.p_holm,
            round(100 * each.detectable, 2),
            each.num_examples,
            each.num_seeds,
        ]
        for analysis in analyses
        for each in analysis.comparisons
    ]
    numbers = ["difference", "low", "high", "p_examples", "p", "p_holm", "detectable", "examples", "seeds"]
    header = ["task", "metric", "first", "second", *numbers]
    write_csv(path, header, rows)


def write_routing(routing: Mapping[tuple[str, str, int], RoutingSummary], path: Path) -> None:
    """Writes the percentage of each data set's examples that each expert received, and how well kinds are separated."""
    rows: Rows = [
        [
            *(task, method, seed, expert, f"{method} {expert}", dataset, round(100 * float(share), 2)),
            *(kind, summary.expert_kinds[expert], 100 * summary.separated, summary.adjusted_information),
        ]
        for (task, method, seed), summary in routing.items()
        for dataset, kind, shares in zip(summary.datasets, summary.kinds, summary.by_dataset, strict=True)
        for expert, share in enumerate(shares)
    ]
    header = ["task", "method", "seed", "expert", "label", "dataset", "share"]
    write_csv(path, [*header, "kind", "expert_kind", "separated", "adjusted_mutual_information"], rows)


def write_forced(forced: Mapping[str, Sequence[ForcedExperts]], path: Path) -> None:
    """Writes the average of each way to choose an expert, and the router's difference from it, in points.

    The router minus the oracle is its negative regret; it is not tested.
    """
    rows: Rows = []
    for task, methods in forced.items():
        for each in methods:
            for choice, estimate in each.estimates.items():
                against = each.against.get(choice)
                minus = each.router_minus(choice)
                difference = percents(minus) if minus else [None] * 3
                p_values = [against.p, against.p_holm] if against else [None] * 2
                rows.append([task, each.method, choice, *percents(estimate), *difference, *p_values])
    header = ["score", "low", "high", "router_minus", "router_minus_low", "router_minus_high", "p", "p_holm"]
    write_csv(path, ["task", "method", "choice", *header], rows)


class PublishedRow(NamedTuple):
    """One cell that the paper and this run have, in percent; `note` says that they stand on different base models."""

    table: str
    method: str
    metric: str
    dataset: str
    published: float
    ours: float
    difference: float
    low: float
    high: float
    published_base: str
    base: str
    note: str


def published_rows(analysis: TaskAnalysis) -> list[PublishedRow]:
    """Returns the cells for which both have a number.

    Our scores are cut to two decimals like the published ones. The paper rounds averages, so ours are rounded, too;
    they need all of the table's data sets.
    """
    rows = []
    base = analysis.run.base_name
    for (method, column, part), estimate in analysis.estimates.items():
        table = table_for(column, base)
        printed = table.score(method, part) if table is not None else None
        if table is None or printed is None or math.isnan(estimate.value):
            continue
        if part == AVERAGE and not set(table.datasets) <= analysis.parts.keys():
            continue
        ours = round(100 * estimate.value, 2) if part == AVERAGE else floor_percent(estimate.value)
        low, high = percents(estimate)[1:]
        difference = round(ours - printed, 2)
        note = "" if base.endswith(table.base) else "different base models"
        numbers = printed, ours, difference, low, high
        rows.append(PublishedRow(table.table, method, column, part, *numbers, table.base, base, note))
    return rows


def write_published(analyses: Sequence[TaskAnalysis], path: Path) -> None:
    """Writes published score, ours, difference, our interval and both base models for every cell that both have."""
    rows = [[analysis.run.task, *row] for analysis in analyses for row in published_rows(analysis)]
    write_csv(path, ["task", *PublishedRow._fields], rows)


EFFICIENCY = [
    "trainable_parameters",
    "adapter_bytes",
    "steps",
    "best_step",
    "best_validation_loss",
    "steps_to_half",
    "generated_tokens",
]


def efficiency(run: TaskRun, method: str, seed: int) -> dict[str, float | int | None]:
    """Returns the costs of a cell that are the same on every machine.

    `best_step` is the step of lowest validation loss; `steps_to_half` the first that was validated with at least half
    the share of exact answers that the task's best cell ever had.
    """
    result = run.cells[method, seed]
    losses = result.log.get("validation_loss", np.array([]))
    validated = np.isfinite(losses)
    best = int(np.nanargmin(losses)) if validated.any() else None
    steps = result.log.get("step", np.array([]))
    exact = result.log.get("validation_exact", np.array([]))
    reached = np.flatnonzero(exact >= best_exact(run) / 2) if best_exact(run) > 0 else []
    return {
        "trainable_parameters": result.trainable_parameters,
        "adapter_bytes": result.adapter_bytes,
        "steps": int(steps[-1]) if len(steps) else None,
        "best_step": int(steps[best]) if best is not None else None,
        "best_validation_loss": round(float(losses[best]), 4) if best is not None else None,
        "steps_to_half": int(steps[reached[0]]) if len(reached) else None,
        "generated_tokens": sum(result.predictions["new_tokens"]) if result.predictions else None,
    }


def write_efficiency(runs: Sequence[TaskRun], path: Path) -> None:
    """Writes one row per cell."""
    rows = [
        [run.task, method, seed, *efficiency(run, method, seed).values()] for run in runs for method, seed in run.cells
    ]
    write_csv(path, ["task", "method", "seed", *EFFICIENCY], rows)


# --- Markdown ------------------------------------------------------------------------------------------------------


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table whose first column is text and whose others are numbers."""
    align = [":--", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, align, *rows])


def shown(estimate: Estimate, interval: bool = False) -> str:
    """Returns a score in percent, with its interval on request; a dash where there is none."""
    if math.isnan(estimate.value):
        return NOTHING
    value, low, high = percents(estimate)
    return f"{value:.2f} ({low:.1f} to {high:.1f})" if interval else f"{value:.2f}"


def leaderboard(analysis: TaskAnalysis) -> str:
    """Returns one task's leaderboard, methods in the order of the parameters, the best average in bold."""
    run, labels, seconds = analysis.run, analysis.metric.columns, analysis.metric.shown[1:]
    domains = [part for part in (IN_DOMAIN, OUT_OF_DOMAIN) if part in analysis.parts]
    others = [f"{labels[column]} %" for column in seconds]
    header = ["method", "parameters", f"{labels[analysis.headline]} % (interval)", *domains, *others]
    best = next(iter(analysis.ranked()), None)
    rows = []
    for method in run.methods:
        parameters = parameters_of(run, method)
        average = shown(analysis.estimate(method), interval=True)
        rows.append(
            [
                method,
                NOTHING if parameters is None else f"{parameters:,}",
                f"**{average}**" if method == best else average,
                *(shown(analysis.estimate(method, part)) for part in domains),
                *(shown(analysis.estimate(method, column=column)) for column in seconds),
            ]
        )
    return markdown_table(header, rows)
