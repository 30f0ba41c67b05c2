"""The stage `report`: the results of a run as tables, figures and one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting import figures, tables
from ptmoe.reporting.analysis import TaskAnalysis, analyse, claims
from ptmoe.reporting.cells import TaskRun, read_task
from ptmoe.reporting.forced import forced_experts
from ptmoe.reporting.page import render
from ptmoe.runtime.files import whole_folder, write_text
from ptmoe.statistics.routing import RoutingSummary, kinds_of, summarise


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
    routing = _routing(runs)
    forced = {analysis.run.task: forced_experts(analysis, statistics) for analysis in analyses}
    drawn = {analysis.run.task: _draw(analysis, routing) for analysis in analyses}
    with whole_folder(out) as made:
        tables.write_curves(runs, made / "curves.csv")
        tables.write_scores(analyses, made)
        tables.write_comparisons(analyses, made / "comparisons.csv")
        tables.write_routing(routing, made / "routing.csv")
        tables.write_forced(forced, made / "forced_experts.csv")
        tables.write_published(analyses, made / "published.csv")
        tables.write_efficiency(runs, made / "efficiency.csv")
        for task, each in drawn.items():
            for kind, figure in each.items():
                figures.save(figure, made / "figures" / f"{kind}-{task}")
        for name, figure in ablations.items():
            figures.save(figure, made / "figures" / f"ablation-{name}")
        write_text(made / "leaderboard.md", leaderboard_text(runs, analyses, statistics))
        page = render(runs, analyses, routing, forced, drawn, statistics, root, costs, ablations)
        write_text(made / "index.html", page)


def leaderboard_text(runs: Sequence[TaskRun], analyses: Sequence[TaskAnalysis], statistics: StatisticsParams) -> str:
    """Returns the Markdown leaderboard of all tasks, with the significant differences."""
    by_task = {analysis.run.task: analysis for analysis in analyses}
    parts = []
    for run in runs:
        analysis = by_task.get(run.task)
        if analysis is None:
            parts.append(f"**{run.task}**: no scores yet.\n")
            continue
        sentences = claims(analysis, statistics.confidence)
        parts.append(f"**{run.task}**\n\n{tables.leaderboard(analysis)}")
        parts.append((" ".join(sentences) or "No two methods are significantly different.") + "\n")
    return "\n".join(parts)


def _routing(runs: Sequence[TaskRun]) -> dict[tuple[str, str, int], RoutingSummary]:
    summaries = {}
    for run in runs:
        for (method, seed), result in run.cells.items():
            given = result.predictions
            if given is not None and "expert" in given:
                gates = given.get("expert_probability", [None] * len(given["expert"]))
                order, kinds = list(run.datasets), kinds_of(list(run.datasets), run.training_sets)
                summary = summarise(given["expert"], gates, given["dataset"], result.num_experts, order, kinds)
                if summary is not None:
                    summaries[run.task, method, seed] = summary
    return summaries


def _draw(analysis: TaskAnalysis, routing: dict[tuple[str, str, int], RoutingSummary]) -> dict[str, Figure]:
    run = analysis.run
    routed: dict[str, RoutingSummary] = {}
    for (task, method, _), summary in routing.items():
        if task == run.task:
            routed.setdefault(method, summary)
    drawn = {
        "scores": figures.scores(analysis),
        "parameters": figures.score_by_parameters(analysis),
        "steps": figures.score_by_steps(analysis),
        "loss": figures.training_loss(run),
        "exact": figures.validation_exact(run),
        "routing": figures.routing(run.task, routed),
    }
    return {kind: figure for kind, figure in drawn.items() if figure is not None}
