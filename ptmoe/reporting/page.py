"""The report as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.analysis import TaskAnalysis
from ptmoe.reporting.cells import TaskRun
from ptmoe.reporting.examples import as_json
from ptmoe.reporting.figures import colour_of, inline
from ptmoe.reporting.forced import ForcedExperts
from ptmoe.reporting.plain_words import router_sentences
from ptmoe.reporting.published import published, table_for
from ptmoe.reporting.sections import Routing, forced_rows, task_section
from ptmoe.reporting.tables import EFFICIENCY, NOTHING, efficiency, published_rows

HERE = Path(__file__).parent
CAPTIONS = {
    "loss": "Training loss; line: mean over seeds, band: their range.",
    "exact": "Share of validation rows whose answer is exact under greedy decoding; line and band as above.",
    "scores": "Average score with its interval; hollow marks: in-domain and out-of-domain.",
    "parameters": "Average score against trainable parameters.",
    "steps": "Average score against the steps to half of the best share of exact validation answers; the area "
    "grows with the fourth root of the trainable parameters (the paper's figure 4).",
    "routing": "Share of each data set's examples that each expert receives, experts in the order of their kinds; "
    "first seed.",
}


def render(
    runs: Sequence[TaskRun],
    analyses: Sequence[TaskAnalysis],
    routing: Routing,
    forced: Mapping[str, Sequence[ForcedExperts]],
    figures: Mapping[str, Mapping[str, Figure]],
    statistics: StatisticsParams,
    root: Path,
    costs: Sequence[Sequence[str]],
    ablations: Mapping[str, Figure],
) -> str:
    """Returns the page.

    Args:
        runs: every task of the run, those without scores too.
        analyses: the tasks with scores.
        routing: {(task, method, seed): summary}.
        forced: {task: a summary of each method whose experts were forced}.
        figures: {task: {kind: figure}}.
        statistics: confidence and resamples.
        root: the project's folder, for the test sets of the examples.
        costs: a header and rows of measured times; empty in the tracked report.
        ablations: {grid: figure}; empty in the tracked report.
    """
    methods = runs[0].methods if runs else []
    colours = {method: colour_of(method, methods) for method in methods}
    script = (HERE / "page.js").read_text()
    sections = [task_section(analysis, routing, root, statistics.confidence) for analysis in analyses]
    for analysis, section in zip(analyses, sections, strict=True):
        section["router_sentences"] = router_sentences(analysis.run, routing, forced[section["name"]], statistics)
        drawn = figures[section["name"]]
        section["forced"] = forced_rows(forced[section["name"]], statistics.confidence)
        section["figures"] = [{"svg": inline(each), "caption": CAPTIONS[kind]} for kind, each in drawn.items()]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((HERE / "page.html").read_text())
    return template.render(
        title="PT-MoE and its baselines",
        lead=_lead(runs, analyses),
        facts=_facts(runs, analyses, statistics),
        css=(HERE / "page.css").read_text(),
        tasks=sections,
        colours=colours,
        methods=methods,
        seeds=runs[0].seeds if runs else [],
        examples=as_json(analyses, colours, root) if analyses else "",
        script=script,
        policy=_policy(script),
        confidence=f"{100 * statistics.confidence:g} %",
        level=f"{100 * (1 - statistics.confidence):.2g} %",
        problems=[problem for run in runs for problem in run.problems],
        published=[row for analysis in analyses for row in _published(analysis)],
        published_note=_published_note(analyses),
        settings=[row for run in runs[:1] for row in setting_differences(run)],
        efficiency=[_efficiency(run, analyses) for run in runs],
        environment=_environment(runs),
        costs=costs,
        ablations=[inline(each) for each in ablations.values()],
    )


def _policy(script: str) -> str:
    """Returns the page's Content-Security-Policy: nothing is loaded, and no script runs but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def _lead(runs: Sequence[TaskRun], analyses: Sequence[TaskAnalysis]) -> str:
    done = sum(result.scores is not None for run in runs for result in run.cells.values())
    return (
        f"{done} of {sum(len(run.cells) for run in runs)} trained cells scored on "
        f"{sum(len(analysis.counts) for analysis in analyses)} test sets, every score with its interval."
    )


def _facts(
    runs: Sequence[TaskRun], analyses: Sequence[TaskAnalysis], statistics: StatisticsParams
) -> list[tuple[str, str]]:
    base = next((run.base for run in runs if run.base), {})
    examples = sum(sum(analysis.counts.values()) for analysis in analyses)
    facts = [("base model", str(base.get("name", NOTHING))), ("tasks", ", ".join(run.task for run in runs))]
    if runs:
        facts += [("methods", str(len(runs[0].methods))), ("seeds", ", ".join(map(str, runs[0].seeds)))]
    return [*facts, ("test examples", f"{examples:,}"), ("resamples", f"{statistics.resamples:,}")]


def _published(analysis: TaskAnalysis) -> list[dict[str, Any]]:
    rows = []
    for row in published_rows(analysis):
        inside = row.low <= row.published <= row.high
        rows.append(
            {
                "method": row.method,
                "table": row.table,
                "part": row.dataset,
                "metric": analysis.label(row.metric),
                "published": f"{row.published:.2f}",
                "ours": f"{row.ours:.2f}",
                "difference": f"{row.difference:+.2f}",
                "interval": f"{row.low:.1f} to {row.high:.1f}",
                "direction": "" if inside else ("up" if row.difference > 0 else "down"),
                "inside": "yes" if inside else "no",
            }
        )
    return rows


def _published_note(analyses: Sequence[TaskAnalysis]) -> str:
    rows = [row for analysis in analyses for row in published_rows(analysis)]
    if not rows:
        return (
            "None of this run's data sets is one of the paper's 17, so its scores cannot be compared with the paper's. "
            "The profile paper runs them all."
        )
    base = next((analysis.run.base_name for analysis in analyses), "")
    tables = [
        table for analysis in analyses for column in analysis.metric.columns if (table := table_for(column, base))
    ]
    others = sorted({table.base for table in tables if not base.endswith(table.base)})
    note = f"The paper prints {len(rows)} of these scores, each from one run and without an interval."
    if others:
        note += f" It used {', '.join(others)} as base model; this run used {base or 'one that no adapter names'}."
    return note


def setting_differences(run: TaskRun) -> list[list[str]]:
    """Returns [method, setting, published, ours] wherever an adapter's parameters are not those of table 9."""
    rows = []
    for method, settings in published()["settings"].items():
        results = [run.cells[method, seed] for seed in run.seeds] if method in run.methods else []
        ours = next((result.adapter["params"] for result in results if "params" in result.adapter), {})
        rows += [
            [method, name, str(value), str(ours[name])]
            for name, value in settings.items()
            if name in ours and ours[name] not in (value, "auto")
        ]
    return rows


def _efficiency(run: TaskRun, analyses: Sequence[TaskAnalysis]) -> dict[str, Any]:
    headline = next((analysis.headline for analysis in analyses if analysis.run is run), "")
    rows = []
    for method, seed in run.cells:
        numbers = efficiency(run, method, seed)
        score = run.average(method, seed, headline) if headline else float("nan")
        shown = [_amount(name, numbers[name]) for name in EFFICIENCY]
        rows.append([method, seed, *shown, NOTHING if np.isnan(score) else f"{100 * score:.2f}"])
    return {"task": run.task, "rows": rows}


def _amount(name: str, value: float | int | None) -> str:
    if value is None:
        return NOTHING
    if name == "adapter_bytes":
        return f"{value / 1e6:.2f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def _environment(runs: Sequence[TaskRun]) -> list[tuple[str, str]]:
    base = next((run.base for run in runs if run.base), {})
    rows = [(f"base model: {name}", str(value)) for name, value in base.items() if name != "fingerprint"]
    adapters = [result.adapter for run in runs for result in run.cells.values() if "versions" in result.adapter]
    versions = adapters[0]["versions"] if adapters else {}
    return [*rows, *((name, str(version)) for name, version in versions.items())]
