"""`ptmoe sweep`: run the pipeline, several cells at once."""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from ptmoe.config.cells import Cell
from ptmoe.config.params import Params, SlurmParams
from ptmoe.config.stage import StageParams
from ptmoe.reporting.costs import estimate
from ptmoe.runtime.arguments import count
from ptmoe.runtime.devices import visible_devices
from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.progress import Progress, say
from ptmoe.runtime.slurm import check_slurm, run_array
from ptmoe.runtime.stopping import end_with_parent

DVC = [sys.executable, "-m", "dvc"]
SHARED_STAGES = ["download", "split", "base", "encode", "init"]
# The stages of a cell that take long; scoring takes seconds, on this machine.
GRID_STAGES = ["train", "generate"]
TITLE = "ptmoe"
"""How the names of Slurm's jobs begin."""
# How often a worker fetches cells: fewer rounds start DVC less often, more rounds balance the load.
SHARES = 3
FAILED = "failed"
_RUNNING = re.compile(r"Running stage '(.+)'")
_SKIPPED = re.compile(r"Stage '(.+)' (didn't change|is cached)")
_WORDS = {"didn't change": "up to date", "is cached": "restored from the run cache"}
_FAILED = re.compile(r"WARNING: failed to run")


class SweepError(PtmoeError):
    """A stage failed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "-j",
        "--jobs",
        "--max-jobs",
        type=count,
        default=0,
        help="cells at once; default: one per GPU, or per core; with --slurm, all",
    )
    parser.add_argument("--methods", nargs="+", help="only the cells of these methods, and no report (default: all)")
    parser.add_argument(
        "--slurm", action="store_true", help="each cell in a job of its own, of one array for each stage"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the cells, estimate the hours, and stop")


def run(args: argparse.Namespace) -> None:
    """Runs the shared stages, then each stage of a cell, `jobs` cells at a time, then the report.

    DVC itself runs one stage at a time; several `dvc repro --single-item` processes may run in parallel
    because the shared stages finish first.

    Raises:
        SweepError: a stage failed; the other cells were still run.
        SlurmError: there is no Slurm, or it refuses the jobs.
    """
    devices = visible_devices()
    from ptmoe.tuning.registry import check_methods

    params = Params.load()
    check_methods(params.methods)  # a mistake in a method's block must not wait for its cell
    for name in args.methods or []:
        params.method(name)
    resources = params.profile.slurm if args.slurm else None
    if args.slurm and resources is None:
        raise SweepError(f"profiles.{params.grid.profile}.slurm: missing; add it, as the profile mini has it")
    cells = [cell for cell in params.grid.cells if not args.methods or cell.method in args.methods]
    jobs = args.jobs or (len(cells) if args.slurm else len(devices) or os.cpu_count() or 1)
    if args.dry_run:
        asked = f", each {resources}" if resources else ""
        for stage in GRID_STAGES:
            say(f"{stage}: {len(cells)} cells, at most {jobs} at once{asked}; {estimate(stage, cells, jobs)}")
            say("\n".join(names(stage, cells)))
        return
    if resources is not None:
        check_slurm(TITLE)
    _dvc("repro", *SHARED_STAGES)
    failures: dict[Cell, str] = {}
    for stage in [*GRID_STAGES, "score"]:
        if not cells:
            break
        named = names(stage, cells)
        if resources is not None and stage in GRID_STAGES:
            found = run_jobs(named, jobs, resources)
        else:
            found = run_cells(named, 1 if resources else jobs, devices)
        failures |= {Cell.named(cell): f"{cell}: {said}" for cell, said in found.items()}
        cells = [cell for cell in cells if cell not in failures]
    if not args.methods and not failures:
        _dvc("repro")
    if failures:
        raise SweepError(f"{len(failures)} cells failed:\n" + "\n".join(failures.values()))


def names(stage: str, cells: Sequence[Cell]) -> list[str]:
    """Names the cells of a stage as DVC does, e.g. `train@qa-pt-0`."""
    return [f"{stage}@{cell.name}" for cell in cells]


def run_jobs(cells: list[str], jobs: int, resources: SlurmParams) -> dict[str, str]:
    """Runs cells as jobs of one Slurm array, and records each in dvc.lock; returns what failed and what was said.

    A job runs a cell's command and not DVC: what DVC locks it locks by process number, which another node cannot know.
    """
    to_run = _left_to_run(cells)
    if not to_run:
        return {}
    stage = cells[0].partition("@")[0]
    unchanged = {cell: ExitStack() for cell in to_run}
    for cell, inputs in unchanged.items():
        inputs.enter_context(StageParams(stage, Cell.named(cell).item))
    failures: dict[str, str] = {}
    commands = {cell: _command(cell) for cell in to_run}
    array = run_array(f"{TITLE}-{stage}", commands, jobs, **resources.model_dump())
    with Progress(stage, len(to_run), "cells") as progress:
        for cell, fault in array:
            if fault is None:
                try:
                    unchanged[cell].close()
                    _dvc("commit", "--quiet", "--force", cell)
                except PtmoeError as error:
                    fault = str(error)
            say(f"{cell}: {FAILED if fault else 'done'}")
            progress.advance()
            if fault:
                failures[cell] = fault
    return failures


def _left_to_run(cells: list[str]) -> list[str]:
    """Lets DVC restore the cells whose results it has; returns the others, whose old outputs it has removed.

    DVC hands a stage's command to the shell; in the place of the shell, `false` leaves the command undone.
    """
    done = subprocess.run(
        [*DVC, "repro", "--single-item", "--keep-going", *cells],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"SHELL": shutil.which("false") or "/bin/false"},
    )
    found = {cell: result for cell, result, _ in results(done.stdout.splitlines(keepends=True))}
    if found.keys() != set(cells):
        raise SweepError(f"DVC cannot prepare the cells:\n{done.stdout.strip()}")
    for cell, result in found.items():
        if result != FAILED:
            say(f"{cell}: {result}")
    return [cell for cell in cells if found[cell] == FAILED]


def _command(cell: str) -> list[str]:
    """Returns a cell's command in dvc.yaml, for this Python."""
    item = Cell.named(cell).item
    options = [word for axis, value in item.items() for word in (f"--{axis}", value)]
    return [sys.executable, "-m", f"stages.{cell.partition('@')[0]}", *options]


def run_cells(cells: list[str], jobs: int, devices: list[str]) -> dict[str, str]:
    """Runs cells in parallel, each on its own GPU while there are enough; returns what failed and its last lines.

    A worker takes several cells at a time: DVC needs seconds to start, however many cells it is given.
    """
    slots: queue.Queue[str | None] = queue.Queue()
    for index in range(jobs):
        slots.put(devices[index % len(devices)] if devices else None)
    failures: dict[str, str] = {}

    def run_share(share: list[str]) -> None:
        device = slots.get()
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": device} if device is not None else {})
        with subprocess.Popen(
            [*DVC, "--wait-for-lock", "repro", "--single-item", "--keep-going", *share],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            preexec_fn=end_with_parent,
        ) as process:
            assert process.stdout is not None
            for cell, result, lines in results(process.stdout):
                say(f"{cell}: {result}")
                progress.advance()
                if result == FAILED:
                    failures[cell] = f"\n{''.join(lines[-20:])}"
        slots.put(device)
        if process.returncode and not failures:
            failures.update(dict.fromkeys(share, f"DVC ended with status {process.returncode}"))

    size = max(1, len(cells) // (SHARES * jobs))
    shares = [cells[start : start + size] for start in range(0, len(cells), size)]
    stage = cells[0].partition("@")[0]
    with Progress(f"{stage}, {jobs} at once", len(cells), "cells") as progress, ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_share, shares))
    return failures


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
    if subprocess.run([*DVC, *arguments], preexec_fn=end_with_parent).returncode:
        raise SweepError(f"`dvc {' '.join(arguments)}` failed; see its message above")
