"""Routing in one sentence per method: does the router separate the kinds, and does its choice gain anything?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptmoe.reporting.analysis import TaskAnalysis
from ptmoe.reporting.forced import BEST
from ptmoe.statistics.estimates import Comparison
from ptmoe.statistics.routing import RoutingSummary

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def router_sentences(analysis: TaskAnalysis) -> list[str]:
    """Returns a sentence for each method with a router over several experts, in the order of the parameters."""
    run, gains = analysis.run, {each.method: each.against[BEST] for each in analysis.forced}
    noun = "kinds of question" if len(run.training_sets) > 1 else "test sets"
    sentences = []
    for method in run.methods:
        summaries = [run.routing[method, seed] for seed in run.seeds if (method, seed) in run.routing]
        if summaries and summaries[0].num_experts > 1:
            gain = gain_over_best(gains[method], analysis.statistics.confidence) if method in gains else ""
            sentences.append(f"{method} {what_it_knows(summaries, noun)}{gain}.")
    return sentences


def what_it_knows(summaries: Sequence[RoutingSummary], noun: str) -> str:
    """Returns the verb and what follows it, of one method's seeds."""
    collapsed = [each for each in summaries if each.collapsed]
    if len(collapsed) == len(summaries):
        favourites = {int(each.utilisation.argmax()) for each in collapsed}
        expert = f"expert {favourites.pop()}" if len(favourites) == 1 else "one expert alone, another in other seeds,"
        least = min(each.utilisation.max() for each in collapsed)
        often = "every question" if least == 1 else f"at least {100 * least:.1f}% of the questions"
        return f"chooses {expert} for {often} and so separates no {noun}"
    some = f" ({len(collapsed)} of {len(summaries)} seeds collapsed)" if collapsed else ""
    separated = np.mean([each.separated for each in summaries])
    if np.isnan(separated):
        return f"uses several experts{some}, but the test sets name no kinds that it could separate"
    kinds = summaries[0].num_kinds
    number = _NUMBERS[kinds] if kinds < len(_NUMBERS) else str(kinds)
    return f"separates the {number} {noun} in {100 * separated:.3g}% of cases{some}"


def gain_over_best(comparison: Comparison, confidence: float) -> str:
    """Returns the end of the sentence: a significant gain or loss after correction, or none."""
    difference = comparison.difference
    if comparison.beats(confidence):
        gains = difference.value > 0
        size = 100 * abs(difference.value)
        ends = sorted(100 * end if gains else -100 * end for end in (difference.low, difference.high))
        size, low, high = (f"{number:.{0 if size >= 10 else 1}f}" for number in (size, *ends))
        verb = f"gains {size} points over" if gains else f"loses {size} points against"
        return f" and {verb} its best single expert ({low} to {high})"
    if difference.low == difference.high == 0:
        return ": no gain over its best single expert"
    interval = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return f": no significant gain over its best single expert ({interval} points)"
