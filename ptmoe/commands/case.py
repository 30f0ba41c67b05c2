"""`ptmoe case`: one question, every method's answer side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptmoe.runtime.arguments import count


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("case", help="show every method's answer to one question")
    parser.add_argument("id", nargs="?", help="an example's id; without it, where the methods differ most")
    parser.add_argument("--task", help="default: every task")
    parser.add_argument("-n", "--number", type=count, default=3, help="how many, without an id (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
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
    problems = []
    for task in [args.task] if args.task else grid.tasks:
        run_ = read_task(task, grid.methods, grid.seeds, Path())
        analysis = analyse(run_, grid.statistics)
        try:
            if analysis is None:
                raise ScoringError(f"{task} has no scores; run `dvc repro score`")
            cases = [find(analysis, Path(), args.id)] if args.id else most_different(analysis, Path(), args.number)
            say("\n\n".join(as_text(case) for case in cases) + "\n")
        except ScoringError as error:
            problems.append(str(error))
            continue
        if args.id:
            return 0
    if problems and (args.id or len(problems) == len(grid.tasks) or args.task):
        raise ScoringError("; ".join(problems))
    return 0
