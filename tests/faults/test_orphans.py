"""Whoever starts a stage is killed: the stage saves and stops, and the next run goes on."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT

# Only ends a test that has failed.
DEADLINE_S = 400
STEPS = {"steps": 40, "eval_steps": 20, "save_steps": 30, "log_steps": 20, "micro_batch_size": 8}
STAGE = f"""
import os, sys, time
import stages
from pathlib import Path
from tests.training.world import World
from ptmoe.training.loop import Loop
train_step = Loop._train_step
def slow_step(loop, rows):
    train_step(loop, rows)
    if loop.step == 2:
        Path("begun").write_text(str(os.getpid()))
    time.sleep(1)
if Path("slow").exists():
    Loop._train_step = slow_step
world = World.reopened(Path(sys.argv[1])).writing_to(Path.cwd())
world.train("ptmoe", **{STEPS})
"""


def wait_for(path, starter=None):
    """Returns what a process writes into a file, which `starter` started."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not path.exists() or not path.read_text():
        ended = starter is not None and starter.poll() is not None
        assert not ended and time.monotonic() < deadline_s, f"{path} was not written"
        time.sleep(0.1)
    return path.read_text()


@contextmanager
def dying(process):
    """Kills a process at the end of the block."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def has_ended(process):
    return not psutil.wait_procs([process], timeout=DEADLINE_S)[1]


def test_training_stops_when_dvc_is_killed_and_the_next_run_gives_the_same_bytes(world, shared_world):
    root = world.root
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], cwd=root, env=environment, check=True)
    (root / "stage.py").write_text(STAGE)
    # Two commands, because some shells put a single one in their own place: here the shell stays in between.
    command = f"{sys.executable} stage.py {shared_world.root} && true"
    (root / "dvc.yaml").write_text(f"stages: {{train: {{cmd: '{command}', deps: [stage.py], outs: [out]}}}}")
    (root / "slow").touch()
    said = (root / "said").open("w")
    started = subprocess.Popen([*dvc, "repro"], cwd=root, env=environment, stdout=said, stderr=said)
    with said, dying(started):
        training = psutil.Process(int(wait_for(root / "begun", started)))
    assert has_ended(training)
    assert "qa-ptmoe-0: stopped at step" in (root / "said").read_text()
    (root / "slow").unlink()
    again = subprocess.run([*dvc, "repro"], cwd=root, env=environment, capture_output=True, text=True)
    assert "continuing from the checkpoint of step" in again.stdout, again.stderr
    adapter, log = root / "out" / "qa-ptmoe-0" / "adapter_model.safetensors", root / "out" / "qa-ptmoe-0.tsv"
    assert (adapter.read_bytes(), log.read_text()) == world.train("ptmoe", "whole", **STEPS)


def test_a_stage_without_dvc_outlives_its_shell(tmp_path):
    """As with `nohup python -m stages.train ... &` and a closed terminal."""
    script = "import os, time, stages\nopen('begun', 'w').write(str(os.getpid()))\n"
    script += "time.sleep(3)\nopen('end', 'w').write('1')"
    (tmp_path / "stage.py").write_text(script)
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f"{sys.executable} stage.py && true"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with dying(shell):
        wait_for(tmp_path / "begun", shell)
    assert wait_for(tmp_path / "end")


def begin_and_wait(name):
    """The work of a process of a sweep."""
    Path(name).write_text(str(os.getpid()))
    time.sleep(600)


@pytest.mark.parametrize("preload", ["", "tests.faults.test_orphans"])
def test_a_killed_sweep_takes_its_stages_along(preload, tmp_path):
    script = (
        "from ptmoe.runtime.isolated import in_own_processes; from tests.faults.test_orphans import begin_and_wait\n"
        f"if __name__ == '__main__': list(in_own_processes(begin_and_wait, ['begun'], 1, preload={preload!r}))"
    )
    sweep = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    with dying(sweep):
        stage = psutil.Process(int(wait_for(tmp_path / "begun", sweep)))
    assert has_ended(stage)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_sweep_takes_its_dvc_along(tmp_path):
    (tmp_path / "dvc").mkdir()
    (tmp_path / "dvc" / "__init__.py").touch()
    (tmp_path / "dvc" / "__main__.py").write_text(
        "import os, time\nopen('begun', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    sweep = subprocess.Popen(
        [sys.executable, "-c", "from ptmoe.commands.sweep import _dvc; _dvc('repro')"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    with dying(sweep):
        dvc = psutil.Process(int(wait_for(tmp_path / "begun", sweep)))
    assert has_ended(dvc)
