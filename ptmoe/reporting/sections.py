"""What the page says about one task beyond its numbers; the template calls these functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ptmoe.reporting.analysis import AVERAGE, TaskAnalysis
from ptmoe.reporting.numbers import p_value, percents, shown
from ptmoe.statistics.estimates import Comparison, Estimate
from ptmoe.statistics.routing import RoutingSummary

_BLOCKS = "\u2581\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def verdict(analysis: TaskAnalysis) -> list[str]:
    """Returns the conclusions: the best score, the significant differences, and how many pairs have none."""
    ranked, comparisons = analysis.ranked(), analysis.comparisons
    if not ranked:
        return ["No method has a score yet."]
    best = shown(analysis.estimate(ranked[0]), with_interval=True)
    sentences = [f"{ranked[0]} scores highest: {best} {analysis.label()} on average.", *analysis.claims()]
    still_open = sum(not each.beats(analysis.statistics.confidence) for each in comparisons)
    if still_open:
        sentences.append(f"{still_open} of {len(comparisons)} pairs of methods are not significantly different.")
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


def span(analysis: TaskAnalysis) -> tuple[float, float]:
    """Returns the ends of the leaderboard's axis, multiples of five percent around all intervals."""
    estimates = [analysis.estimate(method) for method in analysis.scored_methods]
    values = [number for each in estimates for number in percents(each) if not math.isnan(number)]
    low, high = (min(values), max(values)) if values else (0.0, 100.0)
    return max(0.0, math.floor(low / 5) * 5.0), min(100.0, math.ceil(high / 5) * 5.0)


def bar(estimate: Estimate, axis: tuple[float, float]) -> dict[str, float]:
    """Returns where an average stands, and where its interval begins and how wide it is, in percent of an axis."""
    value, low, high = percents(estimate)
    at, left, right = (round(100 * (x - axis[0]) / max(axis[1] - axis[0], 1), 2) for x in (value, low, high))
    return {"at": at, "low": left, "width": round(right - left, 2)}


def paper_table(analysis: TaskAnalysis, column: str) -> dict[str, Any]:
    """Returns one metric in the layout of the paper's tables: one row per method, data sets grouped by domain."""
    parts = [part for part in analysis.parts if part not in (*analysis.domains, AVERAGE)]
    first_sets = [next(iter(analysis.parts[part])) for part in parts]
    domains = [analysis.run.datasets[name]["domain"] for name in first_sets]
    rows = {
        method: [analysis.estimate(method, part, column) for part in [*parts, AVERAGE]]
        for method in analysis.scored_methods
    }
    sizes = [f"{part} {analysis.counts[part]:,}" for part in parts if part in analysis.counts]
    return {
        "caption": f"{analysis.label(column)} in percent, with half the interval's width below. Examples: "
        f"{', '.join(sizes)}.",
        "groups": [(name, domains.count(name)) for name in dict.fromkeys(domains)],
        "parts": [part.rpartition("/")[2] for part in parts],
        "rows": rows,
        "best": [max(each.value for each in estimates) for estimates in zip(*rows.values(), strict=True)],
    }


def margin(estimate: Estimate) -> str:
    """Returns half the interval's width, nothing where there is no score."""
    return "" if math.isnan(estimate.value) else f"\u00b1{50 * (estimate.high - estimate.low):.1f}"


def matrix(analysis: TaskAnalysis) -> dict[str, dict[str, dict[str, str]]]:
    """Returns {method: {other: cell}} of the methods' differences, methods as ranked."""
    pairs = {(each.first, each.second): (each, 1) for each in analysis.comparisons}
    pairs |= {(each.second, each.first): (each, -1) for each in analysis.comparisons}
    ranked, confidence = analysis.ranked(), analysis.statistics.confidence
    nothing = {"kind": "self", "value": "\u00b7", "title": "", "note": ""}
    return {
        method: {
            other: _matrix_cell(*pairs[method, other], confidence) if (method, other) in pairs else nothing
            for other in ranked
        }
        for method in ranked
    }


def _matrix_cell(each: Comparison, sign: int, confidence: float) -> dict[str, str]:
    value, *ends = (100 * sign * end for end in (each.difference.value, each.difference.low, each.difference.high))
    low, high = sorted(ends)
    title = f"{low:+.2f} to {high:+.2f}; p {p_value(each.p)} before correction; {each.num_examples} examples"
    kind = kind_of(each, confidence, sign)
    return {"kind": kind, "value": f"{value:+.1f}", "title": title, "note": p_value(each.p_holm)}


def kind_of(each: Comparison, confidence: float, sign: int = 1) -> str:
    """Returns the class that colours a difference: a claim, a loss, a difference of these models, or open."""
    if each.beats(confidence):
        return "claim" if sign * each.difference.value > 0 else "lost"
    return "models" if each.models_differ(confidence) else "open"


def test_note(analysis: TaskAnalysis) -> str:
    """Says what the test is about: these trained models, or the methods."""
    seeds = max((each.num_seeds for each in analysis.comparisons), default=1)
    if seeds == 1:
        return "One seed: the test is about these trained models; another seed may give other results."
    return (
        f"The test is over examples and {seeds} seeds; with few seeds only large differences are significant. "
        "Underlined: these trained models differ (corrected test over examples alone), but other seeds may not."
    )


def detectable(analysis: TaskAnalysis) -> str:
    """Says how large a difference must be to be found."""
    sizes = [100 * each.detectable for each in analysis.comparisons]
    if not sizes:
        return ""
    return (
        f"Smallest difference that one uncorrected test of this size detects with 80 % power: "
        f"{np.median(sizes):.1f} points for the median pair ({min(sizes):.1f} to {max(sizes):.1f})."
    )


def remark(summary: RoutingSummary) -> str:
    """Returns what is odd about a router's choices."""
    if summary.num_experts == 1:
        return "one expert: no choice to make"
    if not summary.collapsed:
        return ""
    return f"collapsed: expert {int(summary.utilisation.argmax())} gets {100 * summary.utilisation.max():.1f} %"


def sparkline(counts: np.ndarray) -> str:
    """Returns a histogram as a line of blocks."""
    highest = max(counts.max(), 1) if counts.size else 1
    return "".join(_BLOCKS[math.ceil(8 * count / highest)] for count in counts)
