"""`ptmoe report`: write a report of the existing cells, with measured times.

Writes a report of all existing cells, even when some failed, with the times measured on this machine and the ablations
that were run. The pipeline's own report/ is not touched.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--out", type=Path, default=Path(".costs/report"), help="folder to write (default: %(default)s)"
    )
    parser.add_argument("--costs", action="store_true", help="only print the measured times")
    parser.add_argument("--readme", type=Path, help="only put report/leaderboard.md between this file's markers")


def run(args: argparse.Namespace) -> None:
    """Does what the options ask for."""
    from ptmoe.config.params import Params
    from ptmoe.reporting.ablation import read_panels
    from ptmoe.reporting.costs import read_costs
    from ptmoe.reporting.numbers import as_text
    from ptmoe.reporting.readme import update_readme
    from ptmoe.reporting.report import write_report
    from ptmoe.runtime.progress import say

    if args.readme:
        changed = update_readme(args.readme, Path("report/leaderboard.md"))
        say(f"{args.readme}: {'updated' if changed else 'up to date'}")
        return
    grid = Params.load().grid
    costs = read_costs(grid.cells)
    if args.costs:
        say(as_text(costs) if costs else "no cost file yet; training and generation write them to .costs/")
        return
    ablations = read_panels(Path("ablations"))
    write_report(grid.tasks, grid.methods, grid.seeds, grid.statistics, Path(), args.out, costs, ablations)
    say(f"open {args.out / 'index.html'}")
