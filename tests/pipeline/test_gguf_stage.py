"""A .gguf file as `base.name`: the stage imports it, and sees when the file changes."""

import json

import pytest

from ptmoe.runtime.files import sha256_of
from tests.models.test_gguf import write_gguf
from tests.pipeline.conftest import clone


@pytest.fixture(scope="module")
def project(project_root, tmp_path_factory):
    project = clone(project_root, tmp_path_factory.mktemp("clone") / "ptmoe")
    write_gguf(project.root / "bases" / "tiny.gguf")
    project.set(**{"profiles.mini.base.name": "bases/tiny.gguf"})
    return project


def test_the_base_stage_follows_the_bytes_of_the_file(project):
    file, base = project.root / "bases" / "tiny.gguf", project.root / "models" / "base"
    assert "Running stage 'base'" in project.dvc("repro", "base")
    first = json.loads((base / "base.json").read_text())
    assert (first["name"], first["revision"], first["dtype"]) == ("models/base", "local", "float32")
    assert sha256_of(file) in (base / "README.md").read_text()
    assert "didn't change" in project.dvc("repro", "base")
    write_gguf(file, seed=4)
    assert "Running stage 'base'" in project.dvc("repro", "base")
    assert json.loads((base / "base.json").read_text())["fingerprint"] != first["fingerprint"]
    assert sha256_of(file) in (base / "README.md").read_text()


def test_a_damaged_file_stops_the_stage_in_one_sentence(project):
    file = project.root / "bases" / "tiny.gguf"
    file.write_bytes(file.read_bytes()[:-50])
    out = project.dvc("repro", "base", status=None)
    assert "bases/tiny.gguf is truncated or damaged" in out and "Traceback" not in out
