"""Work in processes of its own: what ends one of them, or all, is one sentence."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.pool import in_processes
from tests.conftest import ROOT

SLEEPING = """
import os, sys, time
from pathlib import Path
from ptmoe.runtime.errors import reported_to_user
from ptmoe.runtime.pool import in_processes

def work(number):
    if number:  # the process without one waits for work
        Path(f"begun-{os.getpid()}").touch()
        time.sleep(600)

if __name__ == "__main__":
    with reported_to_user():
        list(in_processes(work, range(3), 3))
"""


def half(number):
    return number / 2


def killed_at_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refused_at_three(number):
    if number == 3:
        raise PtmoeError("three")
    return number


def test_each_item_comes_with_its_result():
    assert dict(in_processes(half, [2, 4, 6], 2)) == {2: 1, 4: 2, 6: 3}


@pytest.mark.parametrize(("work", "words"), [(killed_at_three, "a process was killed"), (refused_at_three, "^three$")])
def test_one_that_ends_badly_ends_all(work, words):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(PtmoeError, match=words):
        list(in_processes(work, range(50), 2))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_first_one(number, tmp_path):
    (tmp_path / "main.py").write_text(SLEEPING)
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(begun := list(tmp_path.glob("begun-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    workers = [psutil.Process(int(path.name.removeprefix("begun-"))) for path in begun]
    # As a terminal does: Ctrl-C reaches the whole group.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
    assert not psutil.wait_procs(workers, timeout=60)[1]
    said = process.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert (process.returncode, said) == (130, "stopped\n")
