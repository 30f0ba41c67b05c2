"""`ptmoe case`: show every method's answer to one question."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptmoe.runtime.arguments import count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("id", nargs="?", help="an example's id; without it, where the methods differ most")
    parser.add_argument("--task", help="default: every task")
    parser.add_argument("-n", "--number", type=count, default=3, help="how many, without an id (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Prints the cases."""
    from ptmoe.config.params import Params
    from ptmoe.reporting.analysis import analyse
    from ptmoe.reporting.case_study import as_text, find, most_different
    from ptmoe.reporting.cells import read_task
    from ptmoe.runtime.errors import ScoringError
    from ptmoe.runtime.progress import say

    params = Params.load()
    grid = params.grid
    if args.task:
        params.task(args.task)
    problems, tasks = [], [args.task] if args.task else grid.tasks
    for task in tasks:
        run_ = read_task(task, grid.methods, grid.seeds, Path())
        analysis = analyse(run_, grid.statistics)
        try:
            if analysis is None:
                raise ScoringError(f"{task} has no scores; run `dvc repro score`")
            cases = [find(analysis, Path(), args.id)] if args.id else most_different(analysis, Path(), args.number)
            say("\n\n".join(as_text(case) for case in cases) + "\n")
        except ScoringError as error:
            problems.append(str(error))
    if problems and (args.id or len(problems) == len(tasks)):
        raise ScoringError("; ".join(problems))
