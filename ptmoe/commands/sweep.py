"""`ptmoe sweep`: run the pipeline, several cells at once."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from ptmoe.config.cells import Cell
from ptmoe.config.params import Params, SlurmParams, read_yaml
from ptmoe.config.plan import items, parse_stage, read_stages, stage_name
from ptmoe.config.stage import StageParams, run_named
from ptmoe.reporting.costs import estimate
from ptmoe.runtime.arguments import count
from ptmoe.runtime.devices import visible_devices
from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.isolated import in_own_processes
from ptmoe.runtime.progress import Progress, say
from ptmoe.runtime.record import outdated, record
from ptmoe.runtime.slurm import check_slurm, run_array
from ptmoe.runtime.stopping import end_with_parent

DVC = [sys.executable, "-m", "dvc"]
# What all cells need, in the order of its making; the last two read the base model.
SHARED_STAGES = [["download", "base"], ["split"], ["encode", "init"]]
# The stages of a cell that take long; scoring takes seconds, on this machine.
GRID_STAGES = ["train", "generate"]
PRELOAD = "stages.preload"
TITLE = "ptmoe"
"""How the names of Slurm's jobs begin."""
RECORD_S = 20.0
"""How long results wait until DVC is told of them: it takes seconds, however many there are."""
LAST_LINES = 20


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
    """Runs the shared stages, then each stage of a cell, `jobs` of them at a time, then the report.

    DVC runs one stage at a time, in a process that imports torch again; it says which stages have to run, and
    remembers their results.

    Raises:
        SweepError: a stage failed; the other cells were still run.
        SlurmError: there is no Slurm, or it refuses the jobs.
    """
    devices = visible_devices()
    tree = read_yaml("params.yaml")
    params = Params(tree)
    for name in args.methods or []:
        params.method(name)
    resources = params.profile.slurm if args.slurm else None
    if args.slurm and resources is None:
        raise SweepError(f"profiles.{params.grid.profile}.slurm: missing; add it, as the profile mini has it")
    cells = [cell for cell in params.grid.cells if not args.methods or cell.method in args.methods]
    cores = os.cpu_count() or 1
    jobs = args.jobs or (len(cells) if args.slurm else len(devices) or cores)
    if args.dry_run:
        from ptmoe.tuning.registry import check_methods

        check_methods(params.methods)  # a real run plans first, which checks them
        asked = f", each {resources}" if resources else ""
        for stage in GRID_STAGES:
            say(f"{stage}: {len(cells)} cells, at most {jobs} at once{asked}; {estimate(stage, cells, jobs)}")
            say("\n".join(names(stage, cells)))
        return
    if resources is not None:
        check_slurm(TITLE)
    _dvc("repro", "--quiet", "plan")
    stages = read_stages()
    for level in SHARED_STAGES:
        named = [stage_name(stage, item) for stage in level for item in items(stages[stage], tree)]
        if failures := run_here(named, min(jobs, cores), [], PRELOAD if "encode" in level else ""):
            raise SweepError("\n".join(failures.values()))
    failures: dict[str, str] = {}
    for stage in [*GRID_STAGES, "score"]:
        named = names(stage, cells)
        if resources is not None and stage in GRID_STAGES:
            found = run_jobs(named, jobs, resources)
        else:
            found = run_here(named, 1 if resources else jobs, devices, PRELOAD)
        failures |= found
        cells = [cell for cell, name in zip(cells, named, strict=True) if name not in found]
    if failures:
        raise SweepError(f"{len(failures)} cells failed:\n" + "\n".join(failures.values()))
    if not args.methods:
        _dvc("repro")


def names(stage: str, cells: Sequence[Cell]) -> list[str]:
    """Names the cells of a stage as DVC does, e.g. `train@qa-pt-0`."""
    return [stage_name(stage, cell.item) for cell in cells]


def run_jobs(named: list[str], jobs: int, resources: SlurmParams) -> dict[str, str]:
    """Runs cells as jobs of one Slurm array, and records each in dvc.lock; returns what failed and what was said.

    A job runs a cell's command and not DVC: what DVC locks it locks by process number, which another node cannot know.
    """
    to_run = left_to_run(named)
    if not to_run:
        return {}
    stage, _ = parse_stage(named[0])
    unchanged = {cell: ExitStack() for cell in to_run}
    for cell, inputs in unchanged.items():
        inputs.enter_context(StageParams(*parse_stage(cell)))
    failures: dict[str, str] = {}
    commands = {cell: _command(cell) for cell in to_run}
    array = run_array(f"{TITLE}-{stage}", commands, jobs, **resources.model_dump())
    with Progress(stage, len(to_run), "cells") as progress:
        for cell, fault in array:
            if fault is None:
                try:
                    unchanged[cell].close()
                    record([cell])
                except PtmoeError as error:
                    fault = str(error)
            say(f"{cell}: {'failed' if fault else 'done'}")
            progress.advance()
            if fault:
                failures[cell] = f"{cell}: {fault}"
    return failures


def left_to_run(named: list[str]) -> list[str]:
    """Returns the stages that have to run; says of the others that they need not."""
    left, restored = outdated(named)
    for name in named:
        if name not in left:
            say(f"{name}: {'restored from the run cache' if name in restored else 'up to date'}")
    return left


def _command(cell: str) -> list[str]:
    """Returns a cell's command in dvc.yaml, for this Python."""
    stage, item = parse_stage(cell)
    options = [word for axis, value in item.items() for word in (f"--{axis}", value)]
    return [sys.executable, "-m", f"stages.{stage}", *options]


def run_here(named: list[str], jobs: int, devices: list[str], preload: str = "") -> dict[str, str]:
    """Runs stages on this machine, each on its own GPU while there are enough; returns what failed and was said."""
    to_run = left_to_run(named)
    done, failures, recorded_s = list[str](), dict[str, str](), time.monotonic()
    try:
        with Progress(f"{jobs} at once", len(to_run), "stages") as progress:
            for name, status, printed in in_own_processes(run_named, to_run, jobs, devices, preload):
                progress.advance()
                if status == 0:
                    done.append(name)
                else:
                    failures[name] = "\n".join([f"{name}: {_ending(status)}", *printed[-LAST_LINES:]])
                say(f"{name}: {'failed' if status else result(name, printed)}")
                if time.monotonic() - recorded_s > RECORD_S:
                    record(done)
                    done, recorded_s = [], time.monotonic()
    finally:
        record(done)
    return failures


def _ending(status: int) -> str:
    return f"exit status {status}" if status > 0 else f"killed by signal {-status}, as happens when memory runs out"


def result(name: str, printed: Sequence[str]) -> str:
    """Returns the last line that a stage printed about itself."""
    begin = f"{name.partition('@')[2]}: "
    return next((line.removeprefix(begin) for line in reversed(printed) if line.startswith(begin)), "done")


def _dvc(*arguments: str) -> None:
    if subprocess.run([*DVC, *arguments], preexec_fn=end_with_parent).returncode:
        raise SweepError(f"`dvc {' '.join(arguments)}` failed; see its message above")
