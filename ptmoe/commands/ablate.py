"""`ptmoe ablate`: run a named grid of settings and draw its figure.

Grids: length, experts, parameters, routing, size. Settings that an experiment or HEAD already holds, with these
parameters and this code, are not run again. Results: ablations/NAME.csv, .svg and .png.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from ptmoe.runtime.arguments import count

POLL_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--task", help="only this task")
    parser.add_argument("--base", help="fit ranks to this model folder or config.json (default: that of the profile)")
    parser.add_argument("-j", "--jobs", type=count, default=1, help="experiments at once (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and stop")
    parser.add_argument("--collect", action="store_true", help="run nothing; draw the results that exist")
    parser.add_argument("--out", type=Path, default=Path("ablations"), help="folder of results (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Queues the missing settings, waits for them, and writes the results."""
    from ptmoe.config.params import Params
    from ptmoe.reporting.ablation import collect, find_cells, grid_cells, write
    from ptmoe.reporting.grids import queue_command, read_grid
    from ptmoe.reporting.revisions import revisions
    from ptmoe.runtime.errors import ScoringError
    from ptmoe.runtime.progress import say

    params = Params.load()
    grid = read_grid(args.name, params, args.base)
    if args.task:
        params.task(args.task)
    tasks = [args.task] if args.task else grid.tasks
    if args.dry_run:
        for label, setting in grid.settings.items():
            count = "" if setting.parameters is None else f"  # {setting.parameters:,} trainable parameters"
            say(shlex.join(queue_command(grid, label, tasks)) + count)
        say(f"dvc queue start -j {args.jobs}")
        return
    found = find_cells(grid, tasks, params)
    needed = grid_cells(grid, tasks, params)
    missing = [label for label in grid.settings if any((label, cell) not in found for cell in needed)]
    if missing and not args.collect:
        for label in missing:
            _dvc(*queue_command(grid, label, tasks, {revision.name for revision in revisions()})[1:])
        _wait(args.jobs)
        found = find_cells(grid, tasks, params)
    points = collect(grid, found, tasks, params)
    if not points:
        raise ScoringError(f"no experiment holds scores of {args.name}; leave out --collect, or see `dvc queue status`")
    write(grid, points, args.out)
    for label in grid.settings:
        here = [point for point in points if point.value == label]
        shown = "  ".join(f"{p.task} {p.method} {p.average} {p.score:.2f}" for p in here) or "no scores"
        say(f"{label:8s} {shown}")
    say(f"{args.out / args.name}.svg")


def _dvc(*arguments: str) -> str:
    from ptmoe.runtime.errors import ScoringError

    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ScoringError(f"`dvc {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _wait(jobs: int) -> None:
    """Starts the queue's workers, and restarts them when they stop early, until nothing is queued or running."""
    from ptmoe.runtime.progress import Progress

    left = _unfinished()
    with Progress("Experiments", left, "experiment") as progress:
        while left:
            _dvc("queue", "start", "-j", str(jobs))
            time.sleep(POLL_S)
            left, before = _unfinished(), left
            progress.advance(before - left)


def _unfinished() -> int:
    return sum(line.rstrip().endswith(("Queued", "Running")) for line in _dvc("queue", "status").splitlines())
