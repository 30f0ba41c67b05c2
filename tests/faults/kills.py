"""Kills a run of the pipeline at random moments, goes on, and compares the end with a run that nobody killed.

python -m tests.faults.kills --kills 100 --seed 0
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from ptmoe.runtime.files import sha256_of
from tests.conftest import ROOT
from tests.pipeline.conftest import SMALL, Project, clone

OUTPUTS = (
    *("plan", "data/raw", "data/split", "data/encoded", "models", "logs", "predictions", "scores", "metrics", "report"),
)
# Who is killed: the stage, DVC above it, or both with all that they started.
VICTIMS = ("stage", "stage", "dvc", "both")


def state(root: Path) -> dict[str, str]:
    """Returns the SHA-256 of dvc.lock and of every output."""
    files = [root / "dvc.lock", *(path for name in OUTPUTS for path in (root / name).rglob("*"))]
    made = (path for path in files if path.is_file() and path.name != ".gitignore")
    return {str(path.relative_to(root)): sha256_of(path) for path in made}


def wipe(project: Project) -> None:
    """Takes everything away that a run makes, DVC's memory of earlier runs included."""
    for name in (*OUTPUTS, ".dvc/cache", ".dvc/tmp", ".checkpoints", ".costs"):
        shutil.rmtree(project.root / name, ignore_errors=True)
    (project.root / "dvc.lock").unlink(missing_ok=True)
    project.run("git", "checkout", "--quiet", "--", "*.gitignore")


def stage_of(dvc: psutil.Process) -> tuple[str, psutil.Process | None]:
    """Returns the stage that DVC runs and its process; `none` between two stages."""
    for child in dvc.children(recursive=True):
        words = child.cmdline()
        module = next((word for word in words if word.startswith("stages.")), None)
        if module:  # a shell above it holds the whole command as one word
            return module.removeprefix("stages."), child
    return "none", None


def killed(project: Project, victim: str, after_s: float | None) -> tuple[str | None, int, str]:
    """Runs `dvc repro` and kills it; returns the stage that ran then (None: nothing was killed), status and output."""
    process = project.start("repro")
    said: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
    reader.start()
    stage = None
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        dvc = psutil.Process(process.pid)
        try:
            stage, running = stage_of(dvc)
            if victim == "both" or (victim == "stage" and running is None):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                (dvc if victim == "dvc" or running is None else running).kill()
        except (psutil.NoSuchProcess, ProcessLookupError):
            stage = None  # it ended by itself at that moment
    status = process.wait()
    reader.join(60)  # until a stage that outlived DVC has closed its output
    return stage, status, "".join(said)


def campaign(project: Project, kills: int, seed: int) -> tuple[Counter[str], int]:
    """Kills runs of a project whose run is complete, `kills` times in all; returns them by stage, and how many lost.

    A run that fails without being killed is lost, and so is every run that ends with other bytes.
    """
    drawn, wanted = random.Random(seed), state(project.root)
    # From a second to longer than any stage, so that a run is killed everywhere and still comes further.
    longest_s = 2 + 2 * max(project.seconds.values())
    seen: Counter[str] = Counter()
    lost = 0
    while seen.total() < kills:
        wipe(project)
        failed = 0
        while True:
            more = seen.total() < kills
            victim, after_s = drawn.choice(VICTIMS), longest_s ** drawn.random() if more else None
            stage, status, said = killed(project, victim, after_s)
            if stage is not None:
                seen[f"{stage}, kill of {victim}"] += 1
                continue
            if "Unable to read RWLock-file" in said:
                # DVC was killed while it wrote that file: docs/security.md says to remove it.
                (project.root / ".dvc/tmp/rwlock").unlink()
                print("removed DVC's broken lock file", flush=True)
                continue
            failed += status != 0
            if status:
                print(f"lost: repro failed with {status}, nothing was killed\n{said[-3000:]}", flush=True)
            if not status or failed > 3:
                break
        found = state(project.root)
        different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        lost += failed + bool(different)
        equal = "differ: " + ", ".join(different[:5]) if different else "dvc.lock and every output equal"
        print(f"{time.strftime('%H:%M:%S')}  {seen.total()} kills, {lost} lost; {equal}", flush=True)
    return seen, lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = clone(ROOT, Path(folder) / "ptmoe")
        project.commit("the project")
        wipe(project)
        project.set(**SMALL)
        project.commit("small grid")
        project.seconds = project.timed_repro()
        seen, lost = campaign(project, arguments.kills, arguments.seed)
    for what, count in sorted(seen.items()):
        print(f"{count:5d}  {what}")
    print(f"{seen.total()} kills, {lost} lost, dvc.lock {'equal' if not lost else 'or outputs differ'}")
    raise SystemExit(lost > 0)


if __name__ == "__main__":
    main()
