"""`ptmoe sweep --slurm` on a real Slurm, and results that a colleague takes from a shared store."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time

import pytest

from ptmoe.cli import main
from ptmoe.config.cells import Cell
from ptmoe.config.params import read_yaml
from ptmoe.reporting.costs import estimate
from ptmoe.runtime.files import write_json
from ptmoe.runtime.slurm import Stoppable
from tests.pipeline.conftest import clone
from tests.pipeline.test_runs import contents, stages_run

SHOWN = ("models", "logs", "predictions", "scores", "metrics", "report")


def why_no_slurm() -> str:
    if shutil.which("sbatch") is None:
        return "no Slurm here (.ci/slurm.sh installs and starts one)"
    if importlib.util.find_spec("submitit") is None:
        return "submitit is not installed"
    answered = subprocess.run(["sinfo", "--noheader", "--states", "idle,mixed,alloc"], capture_output=True, text=True)
    return "" if answered.stdout.strip() else f"Slurm does not answer: {answered.stderr.strip() or 'no node is up'}"


needs_slurm = pytest.mark.skipif(bool(why_no_slurm()), reason=why_no_slurm())


def running(folder):
    asked = ["squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i|%Z"]
    rows = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return [number for number, _, place in (row.partition("|") for row in rows) if place == str(folder)]


@needs_slurm
def test_slurm_gives_the_results_of_dvc_also_when_it_takes_a_job_back(small_run, project_root, tmp_path):
    project = clone(project_root, tmp_path / "ptmoe")
    shutil.copy(small_run.root / "params.yaml", project.root)
    shutil.rmtree(project.root / "metrics")
    (project.root / "dvc.lock").unlink()
    project.environment |= {"PYTHONPATH": str(project.root)}
    with subprocess.Popen(
        [sys.executable, "-m", "ptmoe", "sweep", "--slurm", "--max-jobs", "1"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as sweep:
        deadline_s = time.monotonic() + 240
        while not (jobs := running(project.root)) and sweep.poll() is None:
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        time.sleep(2)
        subprocess.run(["scontrol", "requeue", jobs[0]], check=True)
        said, _ = sweep.communicate(timeout=500)
    assert sweep.returncode == 0, said
    # In a new dvc.lock DVC writes stages that do not depend on each other in any order.
    assert read_yaml(project.root / "dvc.lock") == read_yaml(small_run.root / "dvc.lock")
    assert contents(project.root, *SHOWN) == contents(small_run.root, *SHOWN)
    assert not stages_run(project.dvc("repro"))


def test_without_slurm_the_command_says_so(project_root, monkeypatch, capsys):
    monkeypatch.chdir(project_root)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))  # noqa: PTH120
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "--slurm"])
    assert ended.value.code == 2
    assert "no `sbatch` is on the PATH" in capsys.readouterr().err


def test_the_result_of_a_job_is_the_status_of_its_command():
    assert Stoppable()([sys.executable, "-c", "raise SystemExit(2)"]) == 2


def test_the_hours_of_a_plan_come_from_earlier_cells(tmp_path):
    cells = [Cell("qa", method, seed) for method in ("pt", "ft") for seed in (0, 1)]
    assert estimate("train", cells, 2, tmp_path) == "no earlier cell to estimate the time from"
    write_json(tmp_path / "qa-pt-0.train.json", {"seconds": 1800.0})
    write_json(tmp_path / "qa-ft-0.train.json", {"seconds": 5400.0})
    said = estimate("train", cells, 2, tmp_path)
    assert said == "4.00 hours of work, 2.00 on the clock (from 2 of 4 earlier cells)"


def take_all(small_run, target):
    """Returns what a colleague's clone runs after it pulled."""
    small_run.run("git", "clone", "--quiet", str(small_run.root), str(target))
    colleague = type(small_run)(target)
    shutil.copy(small_run.root / ".dvc" / "config.local", target / ".dvc")
    colleague.dvc("pull", "--run-cache")
    assert contents(target, *SHOWN) == contents(small_run.root, *SHOWN)
    return stages_run(colleague.dvc("repro"))


def test_a_colleague_takes_all_results_from_a_shared_folder(small_run, tmp_path):
    small_run.dvc("remote", "add", "--local", "--default", "--force", "shared", str(tmp_path / "store"))
    small_run.dvc("push", "--run-cache")
    assert not take_all(small_run, tmp_path / "colleague")
    small_run.dvc("get", str(small_run.root), "models/math-ptmoe-0", "--out", str(tmp_path / "adapter"))
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
