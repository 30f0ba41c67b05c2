"""The report as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting import numbers, sections
from ptmoe.reporting.analysis import TaskAnalysis
from ptmoe.reporting.case_study import most_different
from ptmoe.reporting.cells import TaskRun
from ptmoe.reporting.examples import as_json
from ptmoe.reporting.figures import colour_of, inline
from ptmoe.reporting.plain_words import router_sentences
from ptmoe.reporting.published import published_note, published_rows, setting_differences
from ptmoe.reporting.tables import efficiency

HERE = Path(__file__).parent
NUM_CASES = 3
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
    figures: Mapping[str, Mapping[str, str]],
    statistics: StatisticsParams,
    root: Path,
    costs: Sequence[Sequence[str]],
    ablations: Mapping[str, str],
) -> str:
    """Returns the page.

    Args:
        runs: every task of the run, those without scores too.
        analyses: the tasks with scores.
        figures: {task: {kind: SVG}}.
        statistics: confidence and resamples.
        root: the project's folder, for the test sets of the examples.
        costs: a header and rows of measured times; empty in the tracked report.
        ablations: {grid: SVG}; empty in the tracked report.
    """
    methods, seeds = (runs[0].methods, runs[0].seeds) if runs else ([], [])
    colours = {method: colour_of(method, methods) for method in methods}
    script = (HERE / "page.js").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    filters = (numbers.fixed, numbers.shown, numbers.interval, numbers.points, numbers.p_value, numbers.size, inline)
    environment.filters |= {each.__name__: each for each in filters}
    template = environment.from_string((HERE / "page.html").read_text())
    return template.render(
        title="PT-MoE and its baselines",
        runs=runs,
        tasks=analyses,
        sections=sections,
        router_sentences=router_sentences,
        efficiency=efficiency,
        lead=_lead(runs, analyses),
        facts=_facts(runs, analyses, statistics),
        css=(HERE / "page.css").read_text(),
        colours=colours,
        methods=methods,
        seeds=seeds,
        examples=as_json(analyses, colours, root) if analyses else "",
        script=script,
        policy=_policy(script),
        confidence=f"{100 * statistics.confidence:g} %",
        level=f"{100 * (1 - statistics.confidence):.2g} %",
        problems=[problem for run in runs for problem in run.problems],
        figures=figures,
        captions=CAPTIONS,
        cases={analysis.run.task: most_different(analysis, root, NUM_CASES) for analysis in analyses},
        published=[(analysis, row) for analysis in analyses for row in published_rows(analysis)],
        published_note=published_note(analyses),
        settings=[row for run in runs[:1] for row in setting_differences(run)],
        environment=_environment(runs),
        costs=costs,
        ablations=ablations,
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
    facts = [("base model", str(base.get("name", numbers.NOTHING))), ("tasks", ", ".join(run.task for run in runs))]
    if runs:
        facts += [("methods", str(len(runs[0].methods))), ("seeds", ", ".join(map(str, runs[0].seeds)))]
    return [*facts, ("test examples", f"{examples:,}"), ("resamples", f"{statistics.resamples:,}")]


def _environment(runs: Sequence[TaskRun]) -> list[tuple[str, str]]:
    base = next((run.base for run in runs if run.base), {})
    rows = [(f"base model: {name}", str(value)) for name, value in base.items() if name != "fingerprint"]
    adapters = [result.adapter for run in runs for result in run.cells.values() if "versions" in result.adapter]
    versions = adapters[0]["versions"] if adapters else {}
    return [*rows, *((name, str(version)) for name, version in versions.items())]
