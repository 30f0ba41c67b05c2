"""One task's part of the page: the words and numbers that the template prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptmoe.reporting.analysis import AVERAGE, TaskAnalysis, claims, undecided
from ptmoe.reporting.case_study import Case, Output, most_different
from ptmoe.reporting.cells import parameters_of
from ptmoe.reporting.forced import ForcedExperts
from ptmoe.reporting.tables import NOTHING, percents, shown
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN
from ptmoe.statistics.estimates import Comparison, Estimate
from ptmoe.statistics.routing import RoutingSummary

NUM_CASES = 3
_BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
Routing = Mapping[tuple[str, str, int], RoutingSummary]


def task_section(analysis: TaskAnalysis, routing: Routing, root: Path, confidence: float) -> dict[str, Any]:
    """Returns the template's variables for one task, except its figures."""
    shown_columns = analysis.metric.shown
    domains = [part for part in (IN_DOMAIN, OUT_OF_DOMAIN) if part in analysis.parts]
    span = _span([analysis.estimate(method) for method in analysis.scored_methods])
    return {
        "name": analysis.run.task,
        "metric_name": analysis.label(),
        "second_names": [analysis.label(column) for column in shown_columns[1:]],
        "domain_parts": domains,
        "axis": f"{span[0]:.0f} to {span[1]:.0f}",
        "verdict": verdict(analysis, confidence),
        "warnings": warnings(analysis),
        "leaderboard": [_leader(analysis, method, domains, span) for method in analysis.ranked()],
        "tables": [paper_table(analysis, column) for column in shown_columns],
        "matrix_methods": analysis.ranked(),
        "matrix": _matrix(analysis, confidence),
        "num_pairs": len(analysis.comparisons),
        "test_note": _test_note(analysis),
        "detectable": _detectable(analysis),
        "routing": _routing(analysis.run.task, routing),
        "cases": [_case(each) for each in most_different(analysis, root, NUM_CASES)],
    }


def verdict(analysis: TaskAnalysis, confidence: float) -> list[str]:
    """Returns the conclusions: the best score, the significant differences, and how many pairs have none."""
    ranked = analysis.ranked()
    if not ranked:
        return ["No method has a score yet."]
    best = analysis.estimate(ranked[0])
    unit = analysis.label()
    sentences = [f"{ranked[0]} scores highest: {shown(best, interval=True)} {unit} on average."]
    sentences += claims(analysis, confidence)
    still_open = undecided(analysis, confidence)
    if still_open:
        sentences.append(
            f"{len(still_open)} of {len(analysis.comparisons)} pairs of methods are not significantly different."
        )
    return sentences


def warnings(analysis: TaskAnalysis) -> list[str]:
    """Returns why intervals are rough, once for all methods of which it is true."""
    methods: dict[str, list[str]] = {}
    for dataset in analysis.counts:
        for method in analysis.scored_methods:
            if warning := analysis.estimate(method, dataset).warning:
                methods.setdefault(warning, []).append(method)
    everywhere = len(analysis.scored_methods)
    return [text if len(who) == everywhere else f"{', '.join(who)}: {text}" for text, who in methods.items()]


def _span(estimates: Sequence[Estimate]) -> tuple[float, float]:
    values = [number for each in estimates for number in percents(each) if not math.isnan(number)]
    low, high = (min(values), max(values)) if values else (0.0, 100.0)
    return max(0.0, math.floor(low / 5) * 5.0), min(100.0, math.ceil(high / 5) * 5.0)


def _leader(analysis: TaskAnalysis, method: str, domains: Sequence[str], span: tuple[float, float]) -> dict[str, Any]:
    estimate = analysis.estimate(method)
    value, low, high = percents(estimate)
    parameters = parameters_of(analysis.run, method)
    bar = None
    if not math.isnan(value):
        at, left, right = (round(100 * (x - span[0]) / max(span[1] - span[0], 1), 2) for x in (value, low, high))
        bar = {"at": at, "low": left, "width": round(right - left, 2)}
    return {
        "method": method,
        "parameters": NOTHING if parameters is None else f"{parameters:,}",
        "value": shown(estimate),
        "interval": NOTHING if bar is None else f"{low:.1f} to {high:.1f}",
        "bar": bar,
        "domains": [shown(analysis.estimate(method, part)) for part in domains],
        "seconds": [shown(analysis.estimate(method, column=column)) for column in analysis.metric.shown[1:]],
    }


def paper_table(analysis: TaskAnalysis, column: str) -> dict[str, Any]:
    """Returns one metric in the layout of the paper's tables: one row per method, data sets grouped by domain."""
    parts = [part for part in analysis.parts if part not in (IN_DOMAIN, OUT_OF_DOMAIN, AVERAGE)]
    domains = [analysis.run.datasets.get(_member(analysis, part), {}).get("domain", "") for part in parts]
    best = {
        part: max((analysis.estimate(m, part, column).value for m in analysis.scored_methods), default=math.nan)
        for part in [*parts, AVERAGE]
    }
    rows = []
    for method in analysis.scored_methods:
        estimates = {part: analysis.estimate(method, part, column) for part in [*parts, AVERAGE]}
        cells = [
            {"value": shown(each), "margin": _margin(each), "best": each.value == best[part] > 0}
            for part, each in estimates.items()
        ]
        rows.append({"method": method, "cells": cells})
    sizes = [f"{part} {analysis.counts[part]:,}" for part in parts if part in analysis.counts]
    return {
        "caption": f"{analysis.label(column)} in percent, with half the interval's width below. Examples: "
        f"{', '.join(sizes)}.",
        "groups": [(name, domains.count(name)) for name in dict.fromkeys(domains)],
        "parts": [part.rpartition("/")[2] for part in parts],
        "rows": rows,
    }


def _member(analysis: TaskAnalysis, part: str) -> str:
    return next(iter(analysis.parts[part]))


def _margin(estimate: Estimate) -> str:
    return "" if math.isnan(estimate.value) else f"\u00b1{50 * (estimate.high - estimate.low):.1f}"


def _matrix(analysis: TaskAnalysis, confidence: float) -> list[dict[str, Any]]:
    by_pair = {(each.first, each.second): each for each in analysis.comparisons}
    rows = []
    for method in analysis.ranked():
        cells = []
        for other in analysis.ranked():
            each, sign = by_pair.get((method, other)), 1
            if each is None:
                each, sign = by_pair.get((other, method)), -1
            cells.append(_matrix_cell(each, sign, confidence))
        rows.append({"method": method, "cells": cells})
    return rows


def _matrix_cell(each: Comparison | None, sign: int, confidence: float) -> dict[str, str]:
    if each is None:
        return {"kind": "self", "value": "\u00b7", "title": "", "note": ""}
    value = 100 * sign * each.difference.value
    low, high = sorted(100 * sign * bound for bound in (each.difference.low, each.difference.high))
    kind = "models" if each.models_differ(confidence) else "open"
    if each.beats(confidence):
        kind = "claim" if value > 0 else "lost"
    title = f"{low:+.2f} to {high:+.2f}; p {p_value(each.p)} before correction; {each.num_examples} examples"
    return {"kind": kind, "value": f"{value:+.1f}", "title": title, "note": p_value(each.p_holm)}


def p_value(p: float) -> str:
    """Returns a p-value with three decimals; smaller ones as a bound."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _test_note(analysis: TaskAnalysis) -> str:
    seeds = {each.num_seeds for each in analysis.comparisons}
    if not seeds or max(seeds) == 1:
        return "One seed: the test is about these trained models; another seed may give other results."
    return (
        f"The test is over examples and {max(seeds)} seeds; with few seeds only large differences are significant. "
        "Underlined: these trained models differ (corrected test over examples alone), but other seeds may not."
    )


def _detectable(analysis: TaskAnalysis) -> str:
    sizes = [100 * each.detectable for each in analysis.comparisons]
    if not sizes:
        return ""
    return (
        f"Smallest difference that one uncorrected test of this size detects with 80 % power: "
        f"{np.median(sizes):.1f} points for the median pair ({min(sizes):.1f} to {max(sizes):.1f})."
    )


def _routing(task: str, routing: Routing) -> list[dict[str, Any]]:
    rows = []
    for (each_task, method, seed), summary in routing.items():
        if each_task != task:
            continue
        rows.append(
            {
                "method": method,
                "seed": seed,
                "experts": summary.num_experts,
                "utilisation": " / ".join(f"{100 * share:.0f}" for share in summary.utilisation),
                "entropy": f"{summary.entropy:.2f} of {math.log2(summary.num_experts):.2f}",
                "separated": NOTHING if math.isnan(summary.separated) else f"{100 * summary.separated:.1f}",
                "adjusted": NOTHING if math.isnan(summary.separated) else f"{summary.adjusted_information:.3f}",
                "information": f"{summary.mutual_information:.3f}",
                "gate": NOTHING if math.isnan(summary.mean_gate) else f"{summary.mean_gate:.3f}",
                "histogram": _sparkline(summary.gate_histogram),
                "remark": _remark(summary),
            }
        )
    return rows


def forced_rows(forced: Sequence[ForcedExperts], confidence: float) -> list[dict[str, Any]]:
    """Returns a row a method: each choice's score, and the router's difference from it in the colours of the matrix."""
    rows = []
    for each in forced:
        cells = []
        for choice, estimate in each.estimates.items():
            minus, against = each.router_minus(choice), each.against.get(choice)
            note = points(minus) if minus else ""
            note += f", p {p_value(against.p_holm)}" if against else ""
            kind = _matrix_cell(against, 1, confidence)["kind"] if against else ""
            cells.append({"score": shown(estimate), "kind": kind, "note": note})
        rows.append({"method": each.method, "cells": cells})
    return rows


def points(difference: Estimate) -> str:
    """Returns a difference in points, with its sign and interval."""
    value, low, high = percents(difference)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def _remark(summary: RoutingSummary) -> str:
    if summary.num_experts == 1:
        return "one expert: no choice to make"
    if not summary.collapsed:
        return ""
    return f"collapsed: expert {int(summary.utilisation.argmax())} gets {100 * summary.utilisation.max():.1f} %"


def _sparkline(counts: np.ndarray) -> str:
    highest = max(counts.max(), 1) if counts.size else 1
    return "".join(_BLOCKS[math.ceil(8 * count / highest)] for count in counts).replace(" ", "\u2581")


def _case(case: Case) -> dict[str, Any]:
    return {**vars(case), "outputs": [_case_output(output) for output in case.outputs]}


def _case_output(output: Output) -> dict[str, Any]:
    score = output.score
    kind = "part" if score is None or 0 < score < 1 else ("right" if score == 1 else "wrong")
    text = "(no prediction)" if output.prediction is None else output.prediction or "(empty)"
    return {
        "method": output.method,
        "seed": output.seed,
        "text": text,
        "expert": "" if output.expert is None else f"expert {output.expert}",
        "score": NOTHING if score is None or math.isnan(score) else f"{100 * score:.0f}",
        "kind": kind,
    }
