import itertools
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from ptmoe.runtime import cluster
from ptmoe.runtime.errors import BaseModelError, TrainingError
from ptmoe.runtime.launch import count_devices, launch
from tests.conftest import ROOT
from tests.training.many import Runs, count_moves, train_all
from tests.training.world import World

STEPS = {"steps": 5, "eval_steps": 3, "save_steps": 2, "log_steps": 1, "micro_batch_size": 3, "keep": "last"}
CELLS = [("pt", "off"), ("ptmoe", "off"), ("lora", "off"), ("hydralora", "off"), ("ft", "zero1"), ("ft", "zero2")]
CELLS += [("ft", "zero3")]
KILLED = [("ptmoe", "off"), ("ft", "zero2"), ("ft", "zero3")]


def curves(log: str) -> list[list[float]]:
    """Rows of loss, validation loss and share of exact validation answers."""
    return [[float(value or 0) for value in line.split("\t")[1:4]] for line in log.splitlines()[1:]]


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


def test_resume_of_two_processes_after_kill_9_is_bitwise_equal(many, two_processes, capfd):
    with pytest.raises(SystemExit) as died:
        many.run("again", KILLED, die_at=4, kill=True)
    assert died.value.code not in (0, None)
    again = many.run("again", KILLED)
    out = capfd.readouterr().out
    assert out.count("going on from the checkpoint of step 2") == len(KILLED)
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


def test_more_devices_than_gpus_is_a_clear_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert count_devices("auto") == 2
    assert count_devices(1) == 1
    with pytest.raises(TrainingError, match="devices: got 3; allowed: auto, or up to the 2 visible GPUs"):
        count_devices(3)


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def write_world(file: Path) -> None:
    """Meets the processes of all nodes and writes how many there are."""
    import torch

    from ptmoe.training.cell import make_accelerator

    accelerator = make_accelerator()
    total = accelerator.reduce(torch.tensor(10**accelerator.process_index))
    if accelerator.is_main_process:
        file.write_text(f"{accelerator.num_processes} {int(total)}")


STAGE = """
import sys
from pathlib import Path
from ptmoe.runtime.launch import launch
from tests.training.test_devices import write_world
if __name__ == "__main__":
    launch(write_world, Path("met.txt"), 1)
"""


@pytest.mark.parametrize("kind", ["slurm", "hostfile"])
def test_a_stage_starts_itself_on_the_other_nodes(kind, tmp_path):
    """Two nodes that are both this machine, behind stand-ins for srun and ssh."""
    (tmp_path / "stage.py").write_text(STAGE)
    executable(tmp_path / "scontrol", "#!/bin/sh\necho 127.0.0.1\necho other\n")
    executable(tmp_path / "srun", '#!/bin/sh\nshift 6\nSLURMD_NODENAME=other exec "$@"\n')
    executable(tmp_path / "ssh", '#!/bin/sh\nshift 3\nexec sh -c "$1"\n')
    (tmp_path / "hosts").write_text("127.0.0.1 slots=1\n# comment\nother slots=1\n")
    settings = {
        "slurm": {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "nodes[1-2]"},
        "hostfile": {"PTMOE_HOSTFILE": "hosts"},
    }
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}"}
    stage = subprocess.run(
        [sys.executable, "stage.py"],
        cwd=tmp_path,
        env=os.environ | path | settings[kind],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert stage.returncode == 0, stage.stderr
    assert (tmp_path / "met.txt").read_text() == "2 11"


@pytest.mark.parametrize(("text", "message"), [("", "names none"), ("a\na\n", "each host once; it names a, a")])
def test_a_hostfile_must_name_each_host_once(tmp_path, text, message):
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(TrainingError, match=message):
        cluster.read_hostfile(tmp_path / "hosts")


def test_a_missing_hostfile_is_a_clear_error(tmp_path):
    with pytest.raises(TrainingError, match=r"PTMOE_HOSTFILE names .*hosts, which is missing"):
        cluster.read_hostfile(tmp_path / "hosts")
