import os
import signal
import subprocess
import sys

import pytest

from ptmoe.runtime.errors import CheckpointError
from ptmoe.training import checkpoint
from ptmoe.training.loop import Loop
from tests.conftest import ROOT

STEPS = {"steps": 7, "eval_steps": 3, "save_steps": 2, "log_steps": 3, "micro_batch_size": 5}


class Killed(BaseException):
    pass


@pytest.fixture
def die_at(monkeypatch):
    """Ends a run at the beginning of a step, as kill -9 would: without a chance to save."""
    train_step = Loop._train_step

    def arm(step):
        def step_or_die(loop, rows):
            if loop.step + 1 == step:
                raise Killed
            train_step(loop, rows)

        monkeypatch.setattr(Loop, "_train_step", step_or_die)

    yield arm
    monkeypatch.setattr(Loop, "_train_step", train_step)


def slots(folder="."):
    return sorted(path.name for path in (checkpoint.checkpoint_root()).glob("*"))


# The router of ptmoe_routed is learnt anew at step 3: after one checkpoint, and before the other.
@pytest.mark.parametrize("method", ["ptmoe", "ptmoe_routed", "hydralora", "ft"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_going_on_gives_the_bytes_of_an_uninterrupted_run(world, die_at, capsys, method, keep):
    whole = world.train(method, "whole", keep=keep, **STEPS)
    for death in (4, 6, 7):
        die_at(death)
        with pytest.raises(Killed):
            world.train(method, keep=keep, **STEPS)
    die_at(None)
    capsys.readouterr()
    assert world.train(method, keep=keep, **STEPS) == whole
    assert "continuing from the checkpoint of step 6" in capsys.readouterr().out
    assert slots() == []


@pytest.fixture
def heeds_ctrl_c():
    """A run in the background may have been told to ignore Ctrl-C; the tests' own process then heeds it again."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_saves_at_the_step_and_ends_with_status_130(world, monkeypatch, capsys):
    whole = world.train("ptmoe", "whole", **STEPS)
    train_step = Loop._train_step

    def interrupted(loop, rows):
        train_step(loop, rows)
        if loop.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Loop, "_train_step", interrupted)
    with pytest.raises(SystemExit) as stopped:
        world.train("ptmoe", **STEPS)
    assert stopped.value.code == 130
    assert "stopped at step 5 of 7" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(Loop, "_train_step", train_step)
    assert world.train("ptmoe", **STEPS) == whole
    assert "continuing from the checkpoint of step 5" in capsys.readouterr().out


def test_changed_parameters_start_afresh_and_say_what_changed(world, die_at, capsys):
    die_at(6)
    with pytest.raises(Killed):
        world.train("pt", **STEPS)
    die_at(None)
    other = STEPS | {"warmup_steps": 0}
    whole = world.train("pt", "whole", **other)
    out = capsys.readouterr().out
    assert "starting again" in out and "differs in train" in out
    assert len(slots()) == 1  # going back to the first parameters goes on where they stopped
    world.train("pt", **STEPS)
    assert "continuing from the checkpoint of step 4" in capsys.readouterr().out
    assert world.train("pt", **other) == whole


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(world, die_at, capsys, damage):
    whole = world.train("pt", "whole", **STEPS)
    die_at(6)
    with pytest.raises(Killed):
        world.train("pt", **STEPS)
    (slot,) = checkpoint.checkpoint_root().iterdir()
    _, newer = sorted(slot.glob("*.safetensors"))
    content = bytearray(newer.read_bytes())
    content[-1] ^= 1
    newer.write_bytes({"cut": content[:-9], "flipped": content, "empty": b""}[damage])
    die_at(None)
    assert world.train("pt", **STEPS) == whole
    out = capsys.readouterr().out
    assert "is damaged" in out and "continuing from the checkpoint of step 2" in out


def test_all_checkpoints_damaged_starts_afresh(world, die_at):
    whole = world.train("pt", "whole", **STEPS)
    die_at(6)
    with pytest.raises(Killed):
        world.train("pt", **STEPS)
    (slot,) = checkpoint.checkpoint_root().iterdir()
    for path in slot.glob("*.safetensors"):
        path.write_bytes(b"")
    die_at(None)
    assert world.train("pt", **STEPS) == whole


def test_a_full_disk_is_a_clear_error_and_keeps_the_one_before(world, monkeypatch):
    replace, calls = os.replace, []

    def full_at_the_second(source, target):
        if str(target).endswith(".safetensors") and ".checkpoints" in str(target):
            calls.append(target)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full_at_the_second)
    with pytest.raises(CheckpointError, match=r"step 4 .*No space left.*00000002-.*is kept"):
        world.train("pt", **STEPS)
    (slot,) = checkpoint.checkpoint_root().iterdir()
    assert [path.name[:8] for path in sorted(slot.glob("*.safetensors"))] == ["00000002"]
    assert not list(slot.glob("*.tmp"))


def test_no_more_than_two_checkpoints_are_kept(world, die_at):
    die_at(7)
    with pytest.raises(Killed):
        world.train("pt", **(STEPS | {"save_steps": 1}))
    (slot,) = checkpoint.checkpoint_root().iterdir()
    assert [path.name[:8] for path in sorted(slot.glob("*.safetensors"))] == ["00000005", "00000006"]


def test_an_experiment_in_a_copy_of_the_project_shares_the_checkpoints(world, die_at, monkeypatch, tmp_path, capsys):
    die_at(6)
    with pytest.raises(Killed):
        world.train("pt", **STEPS)
    die_at(None)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    world.train("pt", **STEPS)
    assert "continuing from the checkpoint of step 4" in capsys.readouterr().out


SCRIPT = """
import os, signal, sys
from pathlib import Path
from ptmoe.training.loop import Loop
from tests.training.world import World
world = World.reopened(Path(sys.argv[1]))
train_step = Loop._train_step
def step_or_die(loop, rows):
    if loop.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    train_step(loop, rows)
Loop._train_step = step_or_die
world.train("ptmoe", steps=7, eval_steps=3, save_steps=2, log_steps=3, micro_batch_size=5)
"""


def test_kill_9_of_a_real_process_loses_at_most_save_steps(world, shared_world, tmp_path, capsys):
    whole = world.train("ptmoe", "whole", **STEPS)
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(shared_world.root)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert world.train("ptmoe", **STEPS) == whole
    assert "continuing from the checkpoint of step 4" in capsys.readouterr().out
