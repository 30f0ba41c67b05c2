import copy
import shlex
import subprocess
from functools import reduce
from operator import getitem

import pytest

from ptmoe.reporting.ablation import GRIDS, Point, find_experiments, queue_command, read_grid, write
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.registry import load_metric
from ptmoe.statistics.estimates import Estimate

GRID_NAMES = ["length", "experts", "parameters", "routing", "size"]


def params_text(experts=2, rank=4, steps=10):
    return (
        f"profile: mini\nptmoe:\n  num_experts: {experts}\n  rank: {rank}\n"
        f"profiles:\n  mini:\n    train: {{steps: {steps}}}\n  paper:\n    train: {{steps: {1000 + experts}}}\n"
    )


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """HEAD with two experts, and experiments with one and four; one more changes the training, too."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q"), git("config", "user.email", "a@b.c"), git("config", "user.name", "t")

    def commit(text):
        (tmp_path / "params.yaml").write_text(text)
        git("add", "params.yaml"), git("commit", "-qm", "x", "--allow-empty")
        return git("rev-parse", "HEAD")

    base = commit(params_text())
    for name, text in (
        ("one", params_text(1)),
        ("four", params_text(4)),
        ("longer", params_text(8, steps=99)),
        ("other-rank", params_text(8, rank=5)),
    ):
        made = commit(text)
        git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", made)
        git("reset", "-q", "--hard", base)
    return tmp_path


def test_every_grid_of_the_paper_is_there_and_valid(project_root):
    from ptmoe.config.params import Params, read_yaml

    tree = read_yaml(project_root / "params.yaml")
    assert list(read_yaml(GRIDS)) == GRID_NAMES
    for name in GRID_NAMES:
        grid = read_grid(name, "paper")
        assert len({str(keys) for keys in grid.settings.values()}) == len(grid.settings) > 1, name
        for keys in grid.settings.values():
            changed = copy.deepcopy(tree) | {"profile": "paper", "methods": [grid.method]}
            for key, value in keys.items():
                *path, last = key.split(".")
                block = reduce(getitem, path, changed)
                assert last in block, key
                block[last] = value
            Params(changed)  # refuses values that are not allowed


def test_commands_are_what_a_shell_and_dvc_take():
    grid = read_grid("routing", "mini")
    commands = [queue_command(grid, label, ["qa"]) for label in grid.settings]
    assert len({command[5] for command in commands}) == 4
    assert commands[1][4:] == shlex.split(
        "--name routing-ns-p -S methods=[ptmoe] -S tasks=[qa] -S ptmoe.selective=false -S ptmoe.probationary=true"
    )


def test_profile_is_filled_in():
    keys = ["profiles.paper.base.name", "profiles.paper.base.revision"]
    assert list(read_grid("size", "paper").settings["3B"]) == keys
    with pytest.raises(ScoringError, match="allowed: length, experts"):
        read_grid("nothing", "mini")


def test_experiments_are_found_by_their_settings_whatever_their_name(repository):
    assert find_experiments(read_grid("experts", "mini")) == {"1": "one", "2": "HEAD", "4": "four"}


def test_figure_and_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = read_grid("experts", "mini")
    points = [
        Point("qa", label, part, load_metric("qa"), Estimate(0.5, 0.4, 0.6), "one")
        for label in ("1", "4")
        for part in ("in-domain", "out-of-domain")
    ]
    write(grid, points, tmp_path / "ablations")
    text = (tmp_path / "ablations/experts.csv").read_text().splitlines()
    assert text[:2] == ["task,value,average,metric,score,low,high,revision", "qa,1,in-domain,f1,50,40,60,one"]
    assert (tmp_path / "ablations/experts.svg").exists() and (tmp_path / "ablations/experts.png").exists()


def test_dry_run_prints_commands_that_run_nothing(project_root, monkeypatch, capsys):
    from ptmoe.cli import main

    monkeypatch.chdir(project_root)
    assert main(["ablate", "experts", "--dry-run", "--task", "qa"]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in lines] == [f"ptmoe.num_experts={n}" for n in (1, 2, 4, 8)] + ["1"]
    assert all("--queue" in line for line in lines[:-1])
