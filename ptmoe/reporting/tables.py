"""The report's tables: as CSV in long form, and the leaderboard as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ptmoe.reporting.analysis import AVERAGE, TaskAnalysis
from ptmoe.reporting.cells import TaskRun
from ptmoe.reporting.numbers import as_markdown, fixed, percents, shown
from ptmoe.reporting.published import PublishedRow, published_rows

INTERVAL = ["score", "low", "high"]
Table = tuple[Sequence[str], Sequence[Sequence[object]]]


def all_tables(runs: Sequence[TaskRun], analyses: Sequence[TaskAnalysis]) -> dict[str, Table]:
    """Returns {name: (header, rows)}; scores are in percent."""
    return {
        "curves": curves(runs),
        "scores": scores(analyses),
        "leaderboard": averages(analyses),
        "comparisons": comparisons(analyses),
        "routing": routing(runs),
        "forced_experts": forced_experts(analyses),
        "published": published(analyses),
        "efficiency": efficiencies(runs),
    }


def curves(runs: Sequence[TaskRun]) -> Table:
    """Each logged loss."""
    rows = []
    for run in runs:
        for key, result in run.cells.items():
            log = result.log.reindex(columns=["step", "loss", "validation_loss"])
            for split, column in (("train", "loss"), ("validation", "validation_loss")):
                pairs = log[["step", column]].dropna().to_numpy()
                rows += [[run.task, *key, int(step), split, float(loss)] for step, loss in pairs]
    return ["task", "method", "seed", "step", "split", "loss"], rows


def scores(analyses: Sequence[TaskAnalysis]) -> Table:
    """A row for each data set, with its interval."""
    rows = []
    for each in analyses:
        for (method, column, part), estimate in each.estimates.items():
            if part not in (AVERAGE, *each.domains) and not math.isnan(estimate.value):
                domain = each.run.datasets.get(part, {}).get("domain", "")
                row = each.run.task, method, column, part, domain, *percents(estimate), each.counts.get(part)
                rows.append(row)
    return ["task", "method", "metric", "dataset", "domain", *INTERVAL, "examples"], rows


def averages(analyses: Sequence[TaskAnalysis]) -> Table:
    """A row for each average, with its interval."""
    rows = [
        [each.run.task, method, column, part, *percents(estimate), each.run.parameters(method)]
        for each in analyses
        for (method, column, part), estimate in each.estimates.items()
        if part in (AVERAGE, *each.domains) and not math.isnan(estimate.value)
    ]
    return ["task", "method", "metric", "average", *INTERVAL, "trainable_parameters"], rows


def comparisons(analyses: Sequence[TaskAnalysis]) -> Table:
    """Every pair of methods: difference and interval in points, p-values, smallest detectable difference."""
    rows = []
    for analysis in analyses:
        for each in analysis.comparisons:
            tested = each.p_examples, each.p, each.p_holm, round(100 * each.detectable, 2)
            row = analysis.run.task, analysis.headline, each.first, each.second, *percents(each.difference), *tested
            rows.append([*row, each.num_examples, each.num_seeds])
    numbers = ["difference", "low", "high", "p_examples", "p", "p_holm", "detectable", "examples", "seeds"]
    return ["task", "metric", "first", "second", *numbers], rows


def routing(runs: Sequence[TaskRun]) -> Table:
    """The percentage of each data set's examples that each expert received, and how well kinds are separated."""
    rows = [
        [
            *(run.task, method, seed, expert, f"{method} {expert}", dataset, round(100 * float(share), 2)),
            *(kind, summary.expert_kinds[expert], 100 * summary.separated, summary.adjusted_information),
        ]
        for run in runs
        for (method, seed), summary in run.routing.items()
        for dataset, kind, shares in zip(summary.datasets, summary.kinds, summary.by_dataset, strict=True)
        for expert, share in enumerate(shares)
    ]
    header = ["task", "method", "seed", "expert", "label", "dataset", "share"]
    return [*header, "kind", "expert_kind", "separated", "adjusted_mutual_information"], rows


def forced_experts(analyses: Sequence[TaskAnalysis]) -> Table:
    """The average of each way to choose an expert, and the router's difference from it, in points.

    The router minus the oracle is its negative regret; it is not tested.
    """
    rows = []
    for analysis in analyses:
        for each in analysis.forced:
            for choice, estimate in each.estimates.items():
                minus, against = each.router_minus(choice), each.against.get(choice)
                difference = percents(minus) if minus else [None] * 3
                p_values = [against.p, against.p_holm] if against else [None] * 2
                rows.append([analysis.run.task, each.method, choice, *percents(estimate), *difference, *p_values])
    minus = ["router_minus", "router_minus_low", "router_minus_high"]
    return ["task", "method", "choice", *INTERVAL, *minus, "p", "p_holm"], rows


def published(analyses: Sequence[TaskAnalysis]) -> Table:
    """Published score, ours, difference, our interval and both base models of every cell that both have."""
    rows = [[analysis.run.task, *row] for analysis in analyses for row in published_rows(analysis)]
    return ["task", *PublishedRow._fields], rows


def efficiencies(runs: Sequence[TaskRun]) -> Table:
    """A row for each cell."""
    rows = [[run.task, *key, *efficiency(run, *key)] for run in runs for key in run.cells]
    return ["task", "method", "seed", *Efficiency._fields], rows


class Efficiency(NamedTuple):
    """The costs of a cell that are the same on every machine.

    `best_step` is the step of lowest validation loss; `steps_to_half` the first that was validated with at least half
    the share of exact answers that the task's best cell ever had.
    """

    trainable_parameters: int | None
    adapter_bytes: int | None
    steps: int | None
    best_step: int | None
    best_validation_loss: float | None
    steps_to_half: int | None
    generated_tokens: int | None


def efficiency(run: TaskRun, method: str, seed: int) -> Efficiency:
    """Returns the costs of a cell; None where a file is missing."""
    result, half = run.cells[method, seed], run.best_exact / 2
    log = result.log.reindex(columns=["step", "validation_loss", "validation_exact"])
    validated = log.dropna(subset="validation_loss").nsmallest(1, "validation_loss")
    reached = log["step"][log["validation_exact"] >= half] if half > 0 else log["step"][:0]
    return Efficiency(
        result.trainable_parameters,
        result.adapter_bytes,
        next(iter(log["step"].tail(1).astype(int)), None),
        next(iter(validated["step"].astype(int)), None),
        next(iter(validated["validation_loss"].round(4)), None),
        next(iter(reached.astype(int)), None),
        None if result.predictions is None else int(result.predictions["new_tokens"].to_numpy().sum()),
    )


def leaderboard(runs: Sequence[TaskRun], analyses: Sequence[TaskAnalysis]) -> str:
    """Returns the Markdown leaderboard of all tasks, with the significant differences."""
    by_task = {analysis.run.task: analysis for analysis in analyses}
    parts = []
    for run in runs:
        analysis = by_task.get(run.task)
        if analysis is None:
            parts.append(f"**{run.task}**: no scores yet.\n")
            continue
        parts.append(f"**{run.task}**\n\n{_leaderboard(analysis)}")
        parts.append((" ".join(analysis.claims()) or "No two methods are significantly different.") + "\n")
    return "\n".join(parts)


def _leaderboard(analysis: TaskAnalysis) -> str:
    """Returns one task's leaderboard, methods in the order of the parameters, the best average in bold."""
    run, seconds = analysis.run, analysis.metric.shown[1:]
    others = [f"{analysis.label(column)} %" for column in seconds]
    header = ["method", "parameters", f"{analysis.label()} % (interval)", *analysis.domains, *others]
    best = next(iter(analysis.ranked()), None)
    rows = []
    for method in run.methods:
        average = shown(analysis.estimate(method), with_interval=True)
        rows.append(
            [
                method,
                fixed(run.parameters(method), 0),
                f"**{average}**" if method == best else average,
                *(shown(analysis.estimate(method, part)) for part in analysis.domains),
                *(shown(analysis.estimate(method, column=column)) for column in seconds),
            ]
        )
    return as_markdown(header, rows)
