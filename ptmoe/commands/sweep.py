"""`ptmoe sweep`: runs the pipeline with several cells of the grid at a time."""

from __future__ import annotations

import argparse
import os
import queue
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ptmoe.config.params import Params
from ptmoe.runtime.arguments import count
from ptmoe.runtime.devices import visible_devices
from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.progress import Progress, say

SHARED_STAGES = ["download", "split", "base", "encode", "init"]
GRID_STAGES = ["train", "generate"]
# How often a worker fetches cells: fewer rounds start DVC less often, more rounds balance the load.
SHARES = 3
FAILED = "failed"
_RUNNING = re.compile(r"Running stage '(.+)'")
_SKIPPED = re.compile(r"Stage '(.+)' (didn't change|is cached)")
_WORDS = {"didn't change": "up to date", "is cached": "restored from the run cache"}
_FAILED = re.compile(r"WARNING: failed to run")


class SweepError(PtmoeError):
    """A stage failed."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("sweep", help="run the pipeline, several cells at once")
    parser.add_argument("-j", "--jobs", type=count, default=0, help="cells at once; default: one per GPU, or per core")
    parser.add_argument("--methods", nargs="+", help="only the cells of these methods, and no report (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="list the cells and stop")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the shared stages, then each grid stage `jobs` cells at a time, then what is left.

    DVC itself runs one stage at a time; several `dvc repro --single-item` processes may run in parallel
    because the shared stages finish first.

    Raises:
        SweepError: a stage failed; the other cells of its kind were still run.
    """
    devices = visible_devices()
    jobs = args.jobs or len(devices) or os.cpu_count() or 1
    from ptmoe.tuning.registry import check_methods

    params = Params.load()
    check_methods(params.methods)  # a mistake in a method's block must not wait for its cell
    for name in args.methods or []:
        params.method(name)
    if args.dry_run:
        for stage in GRID_STAGES:
            say("\n".join(cells_of(stage, args.methods)))
        return 0
    _dvc("repro", *SHARED_STAGES)
    for stage in GRID_STAGES:
        run_cells(cells_of(stage, args.methods), jobs, devices)
    _dvc("repro", *(["--single-item", *cells_of("score", args.methods)] if args.methods else []))
    return 0


def cells_of(stage: str, methods: Sequence[str] | None = None) -> list[str]:
    """Lists the cells of one stage, e.g. `train@qa-pt-0`; those of all methods by default."""
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only", stage], capture_output=True, text=True
    )
    if listed.returncode:
        raise SweepError(f"DVC cannot list stage {stage}:\n{listed.stderr.strip()}")
    cells = listed.stdout.split()
    return [cell for cell in cells if methods is None or cell.split("-")[-2] in methods]


def run_cells(cells: list[str], jobs: int, devices: list[str]) -> None:
    """Runs cells in parallel, each on its own GPU while there are enough.

    A worker takes several cells at a time: DVC needs seconds to start, however many cells it is given.

    Raises:
        SweepError: cells failed; the message names each, with the end of its output.
    """
    slots: queue.Queue[str | None] = queue.Queue()
    for index in range(jobs):
        slots.put(devices[index % len(devices)] if devices else None)
    failures: list[str] = []

    def run_share(share: list[str]) -> None:
        device = slots.get()
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": device} if device is not None else {})
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", "--keep-going", *share]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for cell, result, lines in results(process.stdout):
                say(f"{cell}: {result}")
                progress.advance()
                if result == FAILED:
                    failures.append(f"{cell}:\n{''.join(lines[-20:])}")
        slots.put(device)
        if process.returncode and not failures:
            failures.append(f"{', '.join(share)}: DVC ended with status {process.returncode}")

    size = max(1, len(cells) // (SHARES * jobs))
    shares = [cells[start : start + size] for start in range(0, len(cells), size)]
    stage = cells[0].split("@")[0]
    with Progress(f"{stage}, {jobs} at once", len(cells), "cells") as progress, ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_share, shares))
    if failures:
        raise SweepError(f"{len(failures)} of {len(cells)} cells failed:\n" + "\n".join(failures))


def results(output: Iterable[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Reads DVC's output line by line; yields each cell, its result in words, and its stage's output."""
    cell, said = "", list[str]()
    for line in output:
        header = _RUNNING.match(line) or _SKIPPED.match(line)
        if header is None:
            said.append(line)
            continue
        if cell:
            yield cell, _result(cell, said), said
        cell, said = (header[1], []) if header.re is _RUNNING else ("", [])
        if not cell:
            yield header[1], _WORDS[header[2]], []
    if cell:
        yield cell, _result(cell, said), said


def _result(cell: str, said: list[str]) -> str:
    """Returns the last line that the stage itself printed about its cell."""
    if any(_FAILED.match(line) for line in said):
        return FAILED
    name = f"{cell.partition('@')[2]}: "
    return next((line.strip().removeprefix(name) for line in reversed(said) if line.startswith(name)), "done")


def _dvc(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "dvc", *arguments]).returncode:
        raise SweepError(f"`dvc {' '.join(arguments)}` failed; see its message above")
