"""The same stage started twice, and stages whose starter dies."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from ptmoe.config.params import read_yaml
from ptmoe.config.plan import READS, Plan, plan_file, write_plans
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.twins import only_one
from tests.conftest import ROOT

HOLD = """
import os, subprocess, sys
from pathlib import Path
from ptmoe.runtime.twins import only_one
with only_one("it", Path(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
    else:
        print(os.getpid(), flush=True)
    sys.stdin.read()
"""


def holder(lock, **environment):
    """A process that holds a lock, and a child that outlives it."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, lock],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_twin_is_refused_until_the_first_is_killed(tmp_path):
    lock = tmp_path / "deep" / "it.lock"
    first = holder(lock)
    assert first.stdin and first.stdout and first.stdout.readline() == f"{first.pid}\n"
    words = rf"^it is running already, as process {first.pid} on {os.uname().nodename}; wait for it or stop it$"
    for _ in range(2):
        with pytest.raises(PtmoeError, match=words), only_one("it", lock):
            pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    with only_one("it", lock):
        assert lock.read_text().startswith(f"{os.getpid()} ")
    first.communicate()  # its child ends with its input


def test_processes_of_one_launch_share_the_lock(tmp_path):
    first = holder(tmp_path / "lock", RANK="0")
    assert first.stdout and first.stdout.readline()
    second = holder(tmp_path / "lock", RANK="1")
    assert second.communicate("")[0] == f"{second.pid}\n"
    first.communicate("")


@pytest.mark.parametrize("stage", list(read_yaml(ROOT / READS)))
def test_no_stage_runs_twice_on_the_same_outputs(stage, tmp_path, monkeypatch):
    """Each refuses before it reads anything: the folder holds no more than its plan."""
    monkeypatch.chdir(tmp_path)
    cell = {"task": "qa", "method": "pt", "seed": "0"}
    item = {"train": cell, "generate": cell, "score": cell, "base": {}, "report": {}}.get(stage, {"task": "qa"})
    options = [word for axis, value in item.items() for word in (f"--{axis}", value)]
    write_plans({plan_file(stage, item): Plan("mini", {}, {}, [])})
    with StageParams.running(stage, item):
        twin = subprocess.run(
            [sys.executable, "-m", f"stages.{stage}", *options],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    name = "@".join([stage, *(["-".join(item.values())] if item else [])])
    expected = f"error: {name} is running already, as process {os.getpid()} on {os.uname().nodename}"
    assert (twin.returncode, twin.stderr) == (2, f"{expected}; wait for it or stop it\n")
    assert [path.name for path in (tmp_path / ".checkpoints").iterdir()] == [f"{name}.lock"]


def test_other_cells_and_other_stages_run_beside_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = (("one", "qa"), ("two", "qa"), ("one", "math"))
    write_plans({plan_file(stage, {"task": task}): Plan("mini", {}, {}, []) for stage, task in beside})
    with ExitStack() as stack:
        for stage, task in beside:
            stack.enter_context(StageParams.running(stage, {"task": task}))
        assert len(list((tmp_path / ".checkpoints").iterdir())) == 3


def test_a_disk_without_locks_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", refuse)
    words = rf"^{tmp_path}/lock cannot be locked \(No locks available\); give a disk that has file locks$"
    with pytest.raises(PtmoeError, match=words), only_one("it", tmp_path / "lock"):
        pass
