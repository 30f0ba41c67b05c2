"""`ptmoe sweep`: run the pipeline with several cells of the grid at once."""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from ptmoe.runtime.devices import visible_devices
from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.progress import Progress, say

SHARED_STAGES = ["download", "split", "base", "encode", "init"]
GRID_STAGES = ["train", "generate"]


DVC_GOES_ON = ("Updating lock file", "Generating lock file", "Use `dvc", "To track", "To enable")


class SweepError(PtmoeError):
    """A stage failed."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("sweep", help="run the pipeline, several cells at once")
    parser.add_argument("-j", "--jobs", type=int, default=0, help="cells at once; default: one per GPU, or per core")
    parser.add_argument("--dry-run", action="store_true", help="list the cells and stop")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the shared stages, then each grid stage `jobs` cells at a time, then what is left.

    DVC itself runs one stage at a time; separate `dvc repro --single-item` processes may run side by side
    because the shared stages are finished before.

    Raises:
        SweepError: a stage failed; the others of its kind were still run.
    """
    devices = visible_devices()
    jobs = args.jobs or len(devices) or os.cpu_count() or 1
    if jobs < 1:
        raise SweepError(f"--jobs {args.jobs}: allowed is a whole number from 1")
    if args.dry_run:
        for stage in GRID_STAGES:
            say("\n".join(cells_of(stage)))
        return 0
    _dvc("repro", *SHARED_STAGES)
    for stage in GRID_STAGES:
        run_cells(cells_of(stage), jobs, devices)
    _dvc("repro")
    return 0


def cells_of(stage: str) -> list[str]:
    """Lists the cells of one stage, e.g. `train@qa-pt-0`."""
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only", stage], capture_output=True, text=True
    )
    if listed.returncode:
        raise SweepError(f"DVC cannot list stage {stage}:\n{listed.stderr.strip()}")
    return listed.stdout.split()


def run_cells(cells: list[str], jobs: int, devices: list[str]) -> None:
    """Runs cells side by side, each on a GPU of its own while there are enough.

    Raises:
        SweepError: some cell failed; names each with the end of its output.
    """
    slots: queue.Queue[str | None] = queue.Queue()
    for index in range(jobs):
        slots.put(devices[index % len(devices)] if devices else None)
    failures = []

    def run_cell(cell: str) -> None:
        device = slots.get()
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": device} if device is not None else {})
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", cell],
            capture_output=True,
            text=True,
            env=environment,
        )
        slots.put(device)
        say(summary(cell, done.stdout))
        if done.returncode:
            failures.append(f"{cell}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        progress.advance()

    stage = cells[0].split("@")[0]
    with Progress(f"{stage}, {jobs} at once", len(cells), "cells") as progress, ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_cell, cells))
    if failures:
        raise SweepError(f"{len(failures)} of {len(cells)} cells failed:\n" + "\n".join(failures))


def summary(cell: str, output: str) -> str:
    """Returns the cell's own result line, or that nothing had to be done."""
    lines = [line for line in output.splitlines() if line.strip()]
    if any("didn't change, skipping" in line for line in lines):
        return f"{cell}: up to date"
    if any("is cached - skipping run" in line for line in lines):
        return f"{cell}: restored from the run cache"
    start = next((number for number, line in enumerate(lines, start=1) if line.startswith("> ")), 0)
    # What DVC says after the stage is advice.
    own = list(itertools.takewhile(lambda line: not line.startswith(DVC_GOES_ON), lines[start:]))
    result = own[-1].strip() if own else "done"
    return result if result.startswith(cell.partition("@")[2]) else f"{cell}: {result}"


def _dvc(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "dvc", *arguments]).returncode:
        raise SweepError(f"`dvc {' '.join(arguments)}` failed; its message stands above")
