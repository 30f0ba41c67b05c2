import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from ptmoe.runtime.errors import BaseModelError, TrainingError
from ptmoe.runtime.launch import count_devices, launch
from ptmoe.training.cell import train_here
from ptmoe.training.job import TrainJob
from tests.conftest import ROOT
from tests.training.many import Runs, count_moves, train_all
from tests.training.world import World

STEPS = {"steps": 5, "eval_steps": 3, "save_steps": 2, "log_steps": 1, "micro_batch_size": 3, "keep": "last"}
ZERO = ["zero1", "zero2", "zero3"]
CELLS = [("ptmoe", "off"), ("hydralora", "off"), ("ptmoe", "zero3"), ("hydralora", "zero3")]
CELLS += [(method, how) for method in ("pt", "lora", "ft") for how in ("off", *ZERO)]
KILLED = [("ptmoe", "off"), ("ptmoe", "zero3"), ("ft", "zero2"), ("ft", "zero3")]


def curves(log: str) -> list[list[float]]:
    """Rows of loss, validation loss, share of exact validation answers, and what is logged of a router."""
    lines = [line.split("\t") for line in log.splitlines()[1:]]
    return [[float(value or 0) for value in [*line[1:4], *line[6:]]] for line in lines]


class Many:
    """Runs of two processes that train all cells of `CELLS`."""

    def __init__(self, world, folder: Path) -> None:
        self.world, self.folder = world, folder
        folder.mkdir()

    def cell(self, out: str, method: str, deepspeed: str) -> dict:
        changes = STEPS | {"deepspeed": deepspeed}
        return self.world.arguments(method, f"{out}/{deepspeed}", **changes) | {"learning_rate": 0.01, "seed": 3}

    def run(self, out: str, keys: list[tuple[str, str]], **how) -> dict[tuple[str, str], tuple[bytes, str]]:
        cells = [self.cell(out, *key) for key in keys]
        launch(train_all, Runs(self.folder, cells, **how), 2)
        return {
            key: ((cell["adapter_dir"] / "adapter_model.safetensors").read_bytes(), cell["log_file"].read_text())
            for key, cell in zip(keys, cells, strict=True)
        }


@pytest.fixture(scope="module")
def many(shared_world, tmp_path_factory) -> Many:
    folder = tmp_path_factory.mktemp("many")
    return Many(shared_world.writing_to(folder), folder / "cwd")


@pytest.fixture(scope="module")
def two_processes(many):
    return many.run("two", CELLS)


@pytest.mark.parametrize("method", ["pt", "ptmoe", "lora", "hydralora", "ft"])
def test_two_processes_give_the_loss_curve_of_one(many, two_processes, method, monkeypatch):
    monkeypatch.chdir(many.folder)
    cell = many.cell("one", method, "off")
    launch(train_all, Runs(many.folder, [cell]), 1)
    expected = curves(cell["log_file"].read_text())
    for deepspeed in (how for name, how in CELLS if name == method):
        actual = curves(two_processes[method, deepspeed][1])
        for one, two in zip(itertools.chain(*expected), itertools.chain(*actual), strict=True):
            assert one == pytest.approx(two, abs=1e-5)


@pytest.mark.parametrize("method", ["pt", "lora", "ft"])
def test_partitioning_over_one_device_is_training_as_usual(many, method, monkeypatch):
    monkeypatch.chdir(many.folder)
    cells = [many.cell("alone", method, how) for how in ("off", *ZERO)]
    launch(train_all, Runs(many.folder, cells), 1)
    logs = {cell["log_file"].read_text() for cell in cells}
    weights = {(cell["adapter_dir"] / "adapter_model.safetensors").read_bytes() for cell in cells}
    assert (len(logs), len(weights)) == (1, 1)


def test_resume_of_two_processes_after_kill_9_is_bitwise_equal(many, two_processes, capfd):
    with pytest.raises(SystemExit) as died:
        many.run("again", KILLED, die_at=4, kill=True)
    assert died.value.code not in (0, None)
    again = many.run("again", KILLED)
    out = capfd.readouterr().out
    assert out.count("continuing from the checkpoint of step 2") == len(KILLED)
    assert {cell for cell in KILLED if again[cell] != two_processes[cell]} == set()


def test_full_fine_tuning_of_a_bfloat16_base_computes_in_16_bit_and_keeps_32(tmp_path):
    """Partitioned or not: float32 weights, bfloat16 arithmetic, and so nearly the same losses."""
    half = Many(World(tmp_path / "half", dtype="bfloat16"), tmp_path / "cwd")
    found = half.run("two", [("ft", "off"), ("ft", "zero2"), ("ft", "zero3")])
    whole = curves(found["ft", "off"][1])
    assert whole[-1][1] < whole[0][1]
    for adapter, log in found.values():
        assert {tensor.dtype for tensor in load(adapter).values()} == {torch.float32}
        for one, two in zip(itertools.chain(*whole), itertools.chain(*curves(log)), strict=True):
            assert one == pytest.approx(two, abs=0.05)


@pytest.mark.parametrize(("deepspeed", "moves"), [("zero2", 1), ("zero3", 0)])
def test_weights_that_are_partitioned_never_lie_whole_on_a_device(many, tmp_path, deepspeed, moves):
    cell = many.cell(f"moved-{deepspeed}", "ft", deepspeed)
    launch(count_moves, (cell, tmp_path / "moves"), 2)
    assert (tmp_path / "moves").read_text() == str(moves)


def raise_error(message: str) -> None:
    raise BaseModelError(message)


def test_an_error_of_a_process_is_raised_here_as_it_is():
    with pytest.raises(BaseModelError, match=r"^no such layer$"):
        launch(raise_error, "no such layer", 2)


def test_a_router_with_a_rate_of_its_own_cannot_be_partitioned(many):
    with pytest.raises(TrainingError, match="deepspeed: zero2 moves every weight of ptmoe_routed at one rate"):
        launch(train_here, TrainJob(**many.cell("refused", "ptmoe_routed", "zero2")), 2)


def test_more_devices_than_gpus_is_a_clear_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert count_devices("auto") == 2
    assert count_devices(1) == 1
    with pytest.raises(TrainingError, match="devices: got 3; allowed: auto, or up to the 2 visible GPUs"):
        count_devices(3)


def write_world(file: Path) -> None:
    """Meets the other processes and writes how many there are."""
    import torch

    from ptmoe.base.compute import make_accelerator

    accelerator = make_accelerator()
    total = accelerator.reduce(torch.tensor(10**accelerator.process_index))
    if accelerator.is_main_process:
        file.write_text(f"{accelerator.num_processes} {int(total)}")


STAGE = """
from pathlib import Path
from ptmoe.runtime.errors import reported_to_user
from ptmoe.runtime.launch import launch
from tests.training.test_devices import {work}
if __name__ == "__main__":
    with reported_to_user():
        launch({work}, Path("out"), {devices})
"""


def write_stage(folder: Path, work: str, devices: int) -> dict:
    """Writes stage.py and returns how to start it."""
    (folder / "stage.py").write_text(STAGE.format(work=work, devices=devices))
    pipe = subprocess.PIPE
    # Else accelerate warns that it sets the number of threads itself; in a real stage `prepare_torch` has done so.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return {"cwd": folder, "env": environment, "stdout": pipe, "stderr": pipe, "text": True}


def test_a_stage_joins_the_processes_of_torchrun_on_two_nodes(tmp_path):
    """Two nodes that are both this machine; torchrun says how many processes there are, not `devices`."""
    how = write_stage(tmp_path, "write_world", 3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--master-addr", "127.0.0.1"]
    nodes = [
        subprocess.Popen([*torchrun, "--master-port", str(port), "--node-rank", str(rank), "stage.py"], **how)
        for rank in range(2)
    ]
    outputs = [node.communicate(timeout=300) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert (tmp_path / "out").read_text() == "2 11"


def say_and_wait(_: Path) -> None:
    os.write(1, b"waiting\n")
    time.sleep(300)


def test_no_process_outlives_a_parent_that_was_killed(tmp_path):
    """Also where a shell told its background job to ignore Ctrl-C."""
    how = write_stage(tmp_path, "say_and_wait", 2)
    stage = subprocess.Popen(
        [sys.executable, "stage.py"], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), **how
    )
    assert [stage.stdout.readline() for _ in range(2)] == ["waiting\n"] * 2
    stage.kill()
    stage.communicate(timeout=60)  # comes back when no process holds the pipes any more


def train_slowly(out: Path) -> None:
    """Trains until somebody stops it, and says when it has begun."""
    from ptmoe.training.loop import Loop

    train_step = Loop._train_step

    def say_and_step(loop: Loop, rows) -> None:
        if loop.step == 1:
            os.write(1, b"begun\n")
        time.sleep(0.01)
        train_step(loop, rows)

    Loop._train_step = say_and_step  # type: ignore[method-assign]
    world = World.reopened(Path((out.parent / "world").read_text())).writing_to(out.absolute())
    train_here(TrainJob(**world.arguments("pt", **STEPS | {"steps": 100_000, "save_steps": 50_000})))


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
def test_a_request_to_stop_saves_and_ends_with_status_130(shared_world, tmp_path, how):
    """Ctrl-C in a terminal reaches every process of the group."""
    (tmp_path / "world").write_text(str(shared_world.root))
    stage = subprocess.Popen(
        [sys.executable, "stage.py"],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
        **write_stage(tmp_path, "train_slowly", 2),
    )
    assert [stage.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    os.kill(stage.pid, signal.SIGTERM) if how == "SIGTERM" else os.killpg(stage.pid, signal.SIGINT)
    out, err = stage.communicate(timeout=120)
    assert stage.returncode == 130, err
    (step,) = re.findall(r"stopped at step (\d+) of 100000", out)
    (saved,) = (tmp_path / ".checkpoints").rglob("*.safetensors")
    assert saved.name.startswith(f"{int(step):08d}-")
    assert "Traceback" not in err


def raise_for_user(_: Path) -> None:
    import torch

    from ptmoe.base.compute import make_accelerator

    accelerator = make_accelerator()
    if accelerator.process_index == 1:
        raise BaseModelError("no such layer")
    accelerator.reduce(torch.tensor(1))  # fails as soon as the other process is gone


def test_an_error_of_the_user_is_one_message_with_status_2(tmp_path):
    stage = subprocess.Popen([sys.executable, "stage.py"], **write_stage(tmp_path, "raise_for_user", 2))
    out, err = stage.communicate(timeout=120)
    assert (stage.returncode, out, err) == (2, "", "error: no such layer\n")
