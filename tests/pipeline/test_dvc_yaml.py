"""dvc.yaml and stages/reads.yaml say all that a stage reads: files, code and parameters."""

import importlib
import shutil
import subprocess
import sys
import types

import pytest
from dvc.repo import Repo

from ptmoe.config.params import Params, read_yaml
from ptmoe.config.plan import READS, make_plans, plan_file
from ptmoe.config.stage import StageParams
from ptmoe.scoring.registry import metric_names
from tests.pipeline.imports import import_closure

STAGES = ["download", "split", "base", "encode", "init", "train", "generate", "score", "report"]
CELL = {"task": "qa", "method": "ptmoe", "seed": "0"}
ITEMS = {"base": {}, "report": {}} | dict.fromkeys(("train", "generate", "score"), CELL)
PROFILES = ["mini", "smollm2", "paper"]
# They hand out values of the plan, name paths, or print; none can change what is written.
WITHOUT_EFFECT = ("ptmoe/__init__.py", "ptmoe/config/", "ptmoe/runtime/")


@pytest.fixture(scope="module")
def pipelines(project_root, tmp_path_factory):
    """The resolved stages of dvc.yaml in each profile."""
    resolved = {}
    for profile in PROFILES:
        folder = tmp_path_factory.mktemp(profile)
        for name in ("dvc.yaml", "params.yaml"):
            shutil.copy(project_root / name, folder / name)
        text = (folder / "params.yaml").read_text().replace("\nprofile: mini\n", f"\nprofile: {profile}\n")
        (folder / "params.yaml").write_text(text)
        resolved[profile] = {stage.name: stage for stage in Repo.init(folder, no_scm=True).index.stages}
    return resolved


@pytest.fixture(scope="module")
def plans(project_root):
    """The plans of each profile."""
    tree = read_yaml(project_root / "params.yaml")
    return {profile: make_plans(tree | {"profile": profile}, project_root) for profile in PROFILES}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_cell_resolves_and_has_its_plan(pipelines, plans, project_root, profile):
    grid = Params(read_yaml(project_root / "params.yaml") | {"profile": profile}).grid
    cells = {f"{task}-{method}-{seed}" for task in grid.tasks for method in grid.methods for seed in grid.seeds}
    stages = pipelines[profile]
    for stage in ("train", "generate", "score"):
        assert {name.split("@")[1] for name in stages if name.startswith(f"{stage}@")} == cells
    # Each but the one that plans depends on a plan of its own, and each plan is some stage's.
    planned = [dep.def_path for stage in stages.values() for dep in stage.deps if dep.def_path.startswith("plan/")]
    assert len(planned) == len(set(planned)) == len(stages) - 1
    assert {str(path) for path in plans[profile]} == set(planned)
    assert all(stage.desc for stage in stages.values())


@pytest.mark.parametrize("stage", ["train", "generate"])
def test_all_code_that_a_method_can_import_is_a_dependency(plans, project_root, stage):
    # Methods are loaded by name, which the source of the stage does not show.
    for path, plan in plans["mini"].items():
        if path.stem.startswith(f"{stage}-"):
            method = path.stem.split("-")[2]
            assert not uncovered(plan, project_root / "ptmoe" / "methods" / f"{method}.py", project_root)
            others = [code for code in plan.code if code.startswith("ptmoe/methods/")]
            assert others == [f"ptmoe/methods/{method}.py"]


@pytest.mark.parametrize("stage", ["score", "report"])
def test_all_code_that_a_metric_can_import_is_a_dependency(plans, project_root, stage):
    # Metrics are loaded by name, too.
    for name in metric_names():
        start = project_root / "ptmoe" / "metrics" / f"{name}.py"
        assert not uncovered(plans["mini"][file_of(stage)], start, project_root)


def file_of(stage):
    return plan_file(stage, ITEMS.get(stage, {"task": "qa"}))


def uncovered(plan, start, root):
    """Code that can be imported from a file on and that is no part of a plan."""
    code = {file.relative_to(root).as_posix() for file in import_closure(start, root)}
    code = {file for file in code if not file.endswith("__init__.py") and not file.startswith(WITHOUT_EFFECT)}
    return {file for file in code if not any(file == path or file.startswith(f"{path}/") for path in plan.code)}


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_that_a_stage_can_import_is_a_dependency(plans, project_root, stage):
    assert not uncovered(plans["mini"][file_of(stage)], project_root / "stages" / f"{stage}.py", project_root)


def test_the_plan_depends_on_all_that_it_is_made_from_and_no_more(pipelines, project_root):
    named = [entry for entries in read_yaml(project_root / READS).values() for entry in entries if "/" in entry]
    folders = {"/".join(entry.split("/")[:2]) for entry in named}
    expected = {"params.yaml", "stages", "ptmoe/config", *folders}
    assert {dep.def_path for dep in pipelines["mini"]["plan"].deps} == expected


@pytest.fixture
def planned(project_root, tmp_path):
    """A folder with the plans of the project."""
    for path, plan in make_plans(read_yaml(project_root / "params.yaml"), project_root).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(plan.text())
    return tmp_path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_the_params_that_it_names_and_no_others(planned, monkeypatch, stage):
    # The parts are replaced by empty functions: what counts is what the stage asks of its parameters.
    for module in [name for name in sys.modules if name.startswith("ptmoe.")]:
        if module.split(".")[1] not in {"config", "runtime"}:
            monkeypatch.delitem(sys.modules, module)
    for module in PARTS:
        fake = types.ModuleType(module)
        fake.__getattr__ = lambda name: lambda *args, **kwargs: None
        monkeypatch.setitem(sys.modules, module, fake)
    monkeypatch.delitem(sys.modules, f"stages.{stage}", raising=False)
    params = StageParams(stage, ITEMS.get(stage, {"task": "qa"}), planned)
    importlib.import_module(f"stages.{stage}").main(params)
    monkeypatch.delitem(sys.modules, f"stages.{stage}")
    assert params.read == params.declared


PARTS = [
    "ptmoe.base.compute",
    "ptmoe.base.model",
    "ptmoe.encoding.task",
    "ptmoe.examples.download",
    "ptmoe.generation.cell",
    "ptmoe.reporting.report",
    "ptmoe.scoring.cell",
    "ptmoe.splitting.split",
    "ptmoe.training.cell",
    "ptmoe.tuning.registry",
    "ptmoe.tuning.text_init",
]


@pytest.mark.parametrize("stage", ["download", "split", "score", "report"])
def test_a_stage_without_a_model_never_loads_one(project_root, stage):
    code = f"import stages.{stage}, sys; print(*(m for m in ('torch', 'transformers') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip()
