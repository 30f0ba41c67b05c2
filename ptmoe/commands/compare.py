"""`ptmoe compare`: test two runs against each other.

Paired bootstrap and permutation test on the examples that both scored. A and B: a cell (qa-ptmoe-0), an adapter folder,
a method (all its seeds), a scores file, a Git revision or DVC experiment (all its cells), or REVISION:CELL.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--task", help="only this task")


def run(args: argparse.Namespace) -> None:
    """Prints one line for each task and metric that both sides have."""
    from ptmoe.config.params import Params
    from ptmoe.config.project import params_file
    from ptmoe.reporting.compare import compare_sides, pairs, resolve
    from ptmoe.reporting.numbers import as_text, p_value
    from ptmoe.runtime.errors import ScoringError
    from ptmoe.runtime.progress import say
    from ptmoe.statistics.estimates import corrected

    params = Params.load(params_file())
    if args.task:
        params.task(args.task)
    statistics = params.grid.statistics
    first, second = resolve(args.a, args.task, params.grid), resolve(args.b, args.task, params.grid)
    common = pairs(first, second)
    if not common:
        raise ScoringError(f"{args.a} and {args.b} share no scores: {_kinds(first)} against {_kinds(second)}")
    results = [compare_sides(a, b, statistics) for a, b in common.values()]
    comparisons = corrected([comparison for comparison, _, _ in results])
    several = len(results) > 1
    rows = [["what", "metric", "A minus B", "interval", "p", *(["p corrected"] if several else []), "examples"]]
    for key, each, (_, _, label) in zip(common, comparisons, results, strict=True):
        low, value, high = (100 * x for x in (each.difference.low, each.difference.value, each.difference.high))
        ps = [p_value(each.p), *([p_value(each.p_holm)] if several else [])]
        interval = f"{low:+.2f} to {high:+.2f}"
        grouped = f" in {each.num_clusters:,} groups" if each.num_clusters < each.num_examples else ""
        rows.append([key or "A, B", label, f"{value:+.2f}", interval, *ps, f"{each.num_examples:,}{grouped}"])
    say(f"A = {args.a}\nB = {args.b}\n\n{as_text(rows)}\n")
    for key, each, (_, alone, _) in zip(common, comparisons, results, strict=True):
        say(_sentence(key, each, alone, statistics.confidence))


def _kinds(sides: dict) -> str:
    return ", ".join(key or "one set of scores" for key in sides)


def _sentence(key: str, each, alone: int, confidence: float) -> str:
    where = f"{key}: " if key else ""
    better, worse = ("A", "B") if each.difference.value > 0 else ("B", "A")
    if each.beats(confidence):
        verdict = f"{better} beats {worse}"
    elif each.detectable >= 1:
        verdict = "not significantly different; this test is too small to detect any difference with 80 % power"
    else:
        verdict = f"not significantly different; this test detects {100 * each.detectable:.1f} points with 80 % power"
    seeds = f"over {each.num_seeds} seeds" if each.num_seeds > 1 else "for these trained models (one seed)"
    left_out = f"; {alone} examples scored by only one side are left out" if alone else ""
    warning = f" {each.difference.warning}" if each.difference.warning else ""
    return f"{where}{verdict}, {seeds}{left_out}.{warning}"
