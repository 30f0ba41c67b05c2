"""dvc.yaml says all that a stage reads: files, code and parameters."""

import importlib
import shutil
import subprocess
import sys
import types

import pytest
from dvc.repo import Repo

from ptmoe.config.params import Params, read_yaml
from ptmoe.config.stage import StageParams
from ptmoe.scoring.registry import metric_names
from tests.pipeline.imports import import_closure

STAGES = ["download", "split", "base", "encode", "init", "train", "generate", "score", "report"]
PROFILES = ["mini", "smollm2", "paper"]
# They read values that dvc.yaml tracks as params, name paths, or print; none can change what is written.
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


@pytest.mark.parametrize("profile", PROFILES)
def test_every_cell_resolves(pipelines, project_root, profile):
    grid = Params(read_yaml(project_root / "params.yaml") | {"profile": profile}).grid
    cells = {f"{task}-{method}-{seed}" for task in grid.tasks for method in grid.methods for seed in grid.seeds}
    stages = pipelines[profile]
    for stage in ("train", "generate", "score"):
        assert {name.split("@")[1] for name in stages if name.startswith(f"{stage}@")} == cells
    for stage in stages.values():
        assert stage.desc
        for dep in stage.deps:
            for name in getattr(dep, "params", []) or []:
                assert name in _keys(read_yaml(project_root / "params.yaml")), f"{stage.name} names {name}"


def _keys(tree, prefix=""):
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


@pytest.mark.parametrize("stage", ["train", "generate"])
def test_all_code_that_a_method_can_import_is_a_dependency(pipelines, project_root, stage):
    # Methods are loaded by name, which the source of the stage does not show.
    for name, cell in pipelines["mini"].items():
        if name.startswith(f"{stage}@"):
            method = name.split("-")[1]
            assert not uncovered(cell, project_root / "ptmoe" / "methods" / f"{method}.py", project_root)


@pytest.mark.parametrize("stage", ["score", "report"])
def test_all_code_that_a_metric_can_import_is_a_dependency(pipelines, project_root, stage):
    # Metrics are loaded by name, too.
    cell = next(item for name, item in pipelines["mini"].items() if name.split("@")[0] == stage)
    for name in metric_names():
        assert not uncovered(cell, project_root / "ptmoe" / "metrics" / f"{name}.py", project_root)


def uncovered(cell, start, root):
    """Code that can be imported from a file on and that is no dependency of the cell."""
    code = {file.relative_to(root).as_posix() for file in import_closure(start, root)}
    code = {file for file in code if not file.endswith("__init__.py") and not file.startswith(WITHOUT_EFFECT)}
    covered = {dep.def_path for dep in cell.deps if getattr(dep, "def_path", None)}
    return {file for file in code if not any(file == dep or file.startswith(f"{dep}/") for dep in covered)}


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_that_a_stage_can_import_is_a_dependency(pipelines, project_root, stage):
    cell = next(item for name, item in pipelines["mini"].items() if name.split("@")[0] == stage)
    assert not uncovered(cell, project_root / "stages" / f"{stage}.py", project_root)


def test_all_code_dependencies_exist(pipelines, project_root):
    for stage in pipelines["mini"].values():
        for dep in stage.deps:
            if dep.def_path.startswith(("ptmoe/", "stages/")):
                assert (project_root / dep.def_path).exists(), f"{stage.name} names {dep.def_path}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_the_params_that_it_declares_and_no_others(project_root, monkeypatch, stage):
    # The parts are replaced by empty functions: what counts is what the stage asks of its parameters.
    for module in [name for name in sys.modules if name.startswith("ptmoe.")]:
        if module.split(".")[1] not in {"config", "runtime"}:
            monkeypatch.delitem(sys.modules, module)
    for module in PARTS:
        fake = types.ModuleType(module)
        fake.__getattr__ = lambda name: lambda *args, **kwargs: None
        monkeypatch.setitem(sys.modules, module, fake)
    monkeypatch.delitem(sys.modules, f"stages.{stage}", raising=False)
    params = StageParams(stage, ITEMS.get(stage, {}), project_root)
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
CELL = {"task": "qa", "method": "ptmoe", "seed": "0"}
ITEMS = {stage: {"task": "qa"} for stage in ("download", "split", "encode", "init")}
ITEMS |= dict.fromkeys(("train", "generate", "score"), CELL)


@pytest.mark.parametrize("stage", ["download", "split", "score", "report"])
def test_a_stage_without_a_model_never_loads_one(project_root, stage):
    code = f"import stages.{stage}, sys; print(*(m for m in ('torch', 'transformers') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip()
