import copy
import json
import math
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ptmoe.config.cells import Cell
from ptmoe.config.params import Params, read_yaml
from ptmoe.reporting.ablation import find_cells, panel, read_panels, write
from ptmoe.reporting.grids import GRIDS, Grid, Setting, queue_command, read_grid, thousands
from ptmoe.reporting.published import ablation_point, published
from ptmoe.runtime.errors import ScoringError
from tests.models.test_geometry import LLAMA_1B
from tests.reporting.conftest import ablation_points

GRID_NAMES = ["length", "experts", "parameters", "routing", "size"]
CELL = Cell("qa", "routed", 0)
PARAMS = {
    "profile": "mini",
    "tasks": ["qa"],
    "methods": ["routed"],
    "seeds": [0],
    "qa": {"instruction": "Answer.", "rule": "mrqa"},
    "routed": {"experts": 2, "rank": 4},
    "profiles": {"mini": {"train": {"steps": 10}}, "paper": {"train": {"steps": 1000}}},
}
AXES = {"task": "${tasks}", "method": "${methods}", "seed": "${seeds}"}
CELL_NAME = "${item.task}-${item.method}-${item.seed}"
PLAN = (
    "from ptmoe.config.params import read_yaml; from ptmoe.config.plan import make_plans, write_plans; "
    "write_plans(make_plans(read_yaml('params.yaml')))"
)
READS = {
    "train": ["code/train.py", "${item.method}", "${item.task}.instruction", "profiles.${profile}.train"],
    "score": ["${item.task}.rule"],
}
STAGES = {
    "plan": {
        "cmd": f'{sys.executable} -c "{PLAN}"',
        "deps": ["params.yaml", "code", "stages"],
        "outs": ["plan"],
    },
    "train": {
        "matrix": AXES,
        "cmd": f"cp code/train.py models-{CELL_NAME}",
        "deps": [f"plan/train-{CELL_NAME}.json"],
        "outs": [f"models-{CELL_NAME}"],
    },
    "score": {
        "matrix": AXES,
        "cmd": "mkdir -p scores/qa; cp made.parquet scores/qa/${item.method}-${item.seed}.parquet",
        "deps": [f"models-{CELL_NAME}", "made.parquet", f"plan/score-{CELL_NAME}.json"],
        "outs": ["scores/${item.task}/${item.method}-${item.seed}.parquet"],
    },
    "report": {"cmd": "touch report", "deps": ["scores"], "outs": ["report"]},
}


def at_llama_1b(tree, tmp_path):
    """The parameters of the paper's profile, and a config.json of its base model's sizes."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_1B))
    return Params(tree | {"profile": "paper"}), str(path)


@pytest.fixture(scope="module")
def tree(project_root):
    return read_yaml(project_root / "params.yaml")


@pytest.mark.parametrize("name", GRID_NAMES)
def test_every_grid_of_the_paper_is_there_and_valid(name, tree, tmp_path):
    assert list(read_yaml(GRIDS)) == GRID_NAMES
    grid = read_grid(name, *at_llama_1b(tree, tmp_path))
    assert len({str(setting.keys) for setting in grid.settings.values()}) == len(grid.settings) > 1
    for setting in grid.settings.values():
        changed = setting.applied_to(tree | {"profile": "paper", "methods": grid.methods})
        assert sorted(changed) == sorted(tree)
        Params(changed)  # refuses keys and values that are not allowed


def test_lengths_share_one_budget(tree, tmp_path):
    grid = read_grid("length", *at_llama_1b(tree, tmp_path))
    assert {label: setting.keys["ptmoe.rank"] for label, setting in grid.settings.items()} == {
        "20": 37, "40": "auto", "60": 35, "80": 35,
    }  # fmt: skip
    assert [setting.parameters for setting in grid.settings.values()] == [81_354, 80_706, 79_978, 81_378]


def test_budgets_are_called_by_what_they_train_and_end_at_the_published_points(tree, tmp_path):
    grid = read_grid("parameters", *at_llama_1b(tree, tmp_path))
    counts = {label: setting.parameters for label, setting in grid.settings.items()}
    assert counts == {"18K": 18_994, "40K": 40_274, "80K": 80_706, "121K": 121_138, "163K": 163_698}
    assert all(label == thousands(count) for label, count in counts.items())
    assert set(published()["ablations"]["parameters"]["points"]) == {"18K", "163K"}


def test_budgets_hold_for_the_tiny_base(tree):
    for name, most in (("length", 40 * 96), ("parameters", 80 * 96)):
        assert all(setting.parameters <= most for setting in read_grid(name, Params(tree)).settings.values())


def test_the_base_models_are_compared_by_three_methods_on_word_problems(tree):
    grid = read_grid("size", Params(tree | {"profile": "paper"}))
    assert (grid.methods, grid.tasks) == (["pt", "smop", "ptmoe"], ["math"])
    assert list(grid.settings["3B"].keys) == ["profiles.paper.base.name", "profiles.paper.base.revision"]
    with pytest.raises(ScoringError, match="allowed: length, experts"):
        read_grid("nothing", Params(tree))


def test_published_points_are_those_of_the_tables_and_of_one_base():
    tables = {table.table: table for table in published()["tables"]}
    for label, table in (("1B", "Table 4"), ("3B", "Table 6")):
        for method in ("pt", "smop", "ptmoe"):
            point = ablation_point("size", label, f"{method} average", "accuracy", tables[table].base)
            assert point == tables[table].score(method, "average")
    llama = "meta-llama/Llama-3.2-1B-Instruct"
    assert ablation_point("parameters", "18K", "in-domain", "f1", llama) == 57.51
    assert math.isnan(ablation_point("experts", "4", "in-domain", "f1", llama))
    assert math.isnan(ablation_point("length", "40", "in-domain", "f1", "HuggingFaceTB/SmolLM2-135M-Instruct"))
    assert math.isnan(ablation_point("length", "40", "in-domain", "em", llama))


def test_commands_are_what_a_shell_and_dvc_take(tree):
    grid = read_grid("routing", Params(tree))
    commands = [queue_command(grid, label, ["qa"]) for label in grid.settings]
    assert len({command[5] for command in commands}) == 4
    assert commands[1][4:] == shlex.split(
        "--name routing-ns-p -S methods=[ptmoe] -S tasks=[qa] -S ptmoe.selective=false -S ptmoe.probationary=true"
    )
    assert queue_command(grid, "NS,P", ["qa"], ["routing-ns-p", "routing-ns-p-2"])[5] == "routing-ns-p-3"


def test_dry_run_prints_commands_that_run_nothing(project_root, monkeypatch, capsys, tmp_path, tree):
    from ptmoe.cli import main

    monkeypatch.chdir(project_root)
    _, base = at_llama_1b(tree, tmp_path)
    assert main(["ablate", "length", "--dry-run", "--task", "qa", "--base", base]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [shlex.split(line, comments=True)[-1] for line in lines] == [f"ptmoe.rank={r}" for r in (37, "auto", 35, 35)]
    assert [line.partition("  # ")[2].split()[0] for line in lines] == ["81,354", "80,706", "79,978", "81,378"]
    assert last == "dvc queue start -j 1"


# --- finding cells -------------------------------------------------------------------------------------------------


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Repository:
    """A pipeline of three stages in Git and DVC, whose experiments are commits that are made by running it."""

    def __init__(self, root, scores):
        self.root, self.seconds = root, 0
        run("git", "init", "-q"), run("git", "config", "user.email", "a@b.c"), run("git", "config", "user.name", "t")
        run(sys.executable, "-m", "dvc", "init", "-q")
        shutil.copy(scores, root / "made.parquet")
        (root / "code").mkdir()
        (root / "stages").mkdir()
        for stage in READS:
            (root / f"stages/{stage}.py").touch()
        self.dump("stages/reads.yaml", READS)
        (root / "code/train.py").write_text("one")
        self.dump("dvc.yaml", {"stages": STAGES})
        self.base = self.commit()

    def dump(self, name, tree):
        (self.root / name).write_text(json.dumps(tree))  # JSON is YAML

    def commit(self, repro=True, **changes):
        """Writes params.yaml, runs the pipeline and commits all of it; keys are dotted with `__`."""
        self.dump("params.yaml", Setting({k.replace("__", "."): v for k, v in changes.items()}).applied_to(PARAMS))
        if repro:
            run(sys.executable, "-m", "dvc", "repro", "-q")
        self.seconds += 60
        run("git", "add", "-A")
        run("env", f"GIT_COMMITTER_DATE=@{1_700_000_000 + self.seconds} +0000", "git", "commit", "-qm", "x")
        return run("git", "rev-parse", "HEAD")

    def experiment(self, name, code="one", repro=True, **changes):
        (self.root / "code/train.py").write_text(code)
        made = self.commit(repro, **changes)
        run("git", "update-ref", f"refs/exps/{self.base[:2]}/{self.base[2:]}/{name}", made)
        run("git", "reset", "-q", "--hard", self.base)


@pytest.fixture(scope="module")
def repository(whole_run, tmp_path_factory):
    """HEAD with two experts; experiments with four, most of which differ in something else as well."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("repository")
        patch.chdir(root)
        made = Repository(root, whole_run / "scores/qa/routed-0.parquet")
        made.experiment("four-old", routed__experts=4)
        made.experiment("four", routed__experts=4, profiles__paper__train__steps=9)  # of another profile: no matter
        made.experiment("instruction", routed__experts=4, qa__instruction="Think.")
        made.experiment("rule", routed__experts=4, qa__rule="other")
        made.experiment("code", code="two", routed__experts=4)
        made.experiment("not-run", routed__experts=8, repro=False)  # holds what HEAD's run with two experts left
        yield made


def found(repository, monkeypatch):
    monkeypatch.chdir(repository.root)
    grid = Grid("experts", "", ["routed"], ["qa"], {str(n): Setting({"routed.experts": n}) for n in (1, 2, 4, 8)})
    params = SimpleNamespace(grid=SimpleNamespace(seeds=[0]))
    return {label: revision for (label, _), (revision, _) in find_cells(grid, ["qa"], params).items()}


def test_a_cell_counts_where_its_parameters_and_code_are_todays_and_the_newest_wins(repository, monkeypatch):
    assert found(repository, monkeypatch) == {"2": "not-run", "4": "four"}


def test_other_code_of_the_workspace_finds_what_was_made_with_it(repository, monkeypatch):
    monkeypatch.chdir(repository.root)
    (repository.root / "code/train.py").write_text("two")
    try:
        assert found(repository, monkeypatch) == {"4": "code"}
    finally:
        run("git", "checkout", "code")


def test_another_instruction_of_the_workspace_finds_what_was_made_with_it(repository, monkeypatch):
    repository.dump("params.yaml", copy.deepcopy(PARAMS) | {"qa": {"instruction": "Think.", "rule": "mrqa"}})
    try:
        assert found(repository, monkeypatch) == {"4": "instruction"}
    finally:
        run("git", "checkout", "params.yaml")


# --- table and figure ----------------------------------------------------------------------------------------------


def test_table_and_figure_and_the_figure_again_from_the_table(tmp_path):
    write(Grid("experts", "number of experts", ["ptmoe"], ["qa"], {}), ablation_points(), tmp_path)
    text = (tmp_path / "experts.csv").read_text().splitlines()
    assert text[0].startswith("task,method,value,trainable_parameters,average,metric,score,low,high,published,base")
    assert text[1] == "qa,ptmoe,1,3000,in-domain,f1,50,40,60,,tiny,one"
    assert (tmp_path / "experts.png").exists()
    again = read_panels(tmp_path)
    assert list(again) == ["experts"]
    (axes,) = again["experts"].axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1\n(3,000)", "4"]
    assert axes.get_xlabel() == "number of experts" and axes.get_ylabel() == "F1 (%)"


def test_published_points_are_drawn_and_several_methods_by_their_averages():
    drawn = panel("", ablation_points(published=55.0)).axes[0].get_legend_handles_labels()[1]
    assert sorted(drawn) == ["in-domain", "out-of-domain", "published", "published"]
    several = panel("", ablation_points("pt") + ablation_points("smop"))
    assert several.axes[0].get_legend_handles_labels()[1] == ["pt", "smop"]
