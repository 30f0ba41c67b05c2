"""Inputs of training whose bytes changed since their stage wrote them, and what a kill leaves of one."""

import re
import shutil
import subprocess
import sys

import pytest

from ptmoe.rows.encoded import open_encoded
from ptmoe.runtime.errors import BaseModelError, DataError, reported_to_user
from ptmoe.runtime.files import sha256_of
from ptmoe.tuning.text_init import read_text_init
from tests.conftest import ROOT


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def own(world, tmp_path):
    """A world whose inputs may be damaged."""
    shutil.copytree(world.encoded, tmp_path / "qa")
    shutil.copy(world.init_file, tmp_path / "qa.safetensors")
    world.encoded, world.init_file = tmp_path / "qa", tmp_path / "qa.safetensors"
    return world


@pytest.mark.parametrize("name", ["train", "validation"])
def test_training_refuses_token_ids_that_changed(own, name, capsys):
    path = own.encoded / f"{name}.arrow"
    expected = sha256_of(path)
    flipped(path, path.stat().st_size // 2)
    with pytest.raises(SystemExit) as stopped, reported_to_user():
        own.train("pt")
    assert stopped.value.code == 2 and not (own.root / "out").exists()
    facts = f"its SHA-256 is {sha256_of(path)}, encode.json lists {expected}"
    sentence = f"error: {path} changed since it was written: {facts}; run `dvc repro encode@qa`\n"
    assert capsys.readouterr().err == sentence


def test_token_ids_are_hashed_once_a_cell(own, monkeypatch):
    hashed = []

    def counted(path):
        hashed.extend([path.stem] if path.suffix == ".arrow" else [])
        return sha256_of(path)

    for module in ("rows.encoded", "training.fingerprint", "generation.cell"):
        monkeypatch.setattr(f"ptmoe.{module}.sha256_of", counted)
    own.train("pt")
    assert sorted(hashed) == ["train", "validation"]
    hashed.clear()
    own.answer("pt")
    assert sorted(hashed) == sorted(path.stem for path in own.encoded.glob("test/**/*.arrow"))


def test_generation_refuses_token_ids_that_changed(own):
    flipped(own.encoded / "test" / "B" / "x.arrow", -100)
    with pytest.raises(DataError, match=r"B/x\.arrow changed since it was written"):
        own.answer("pt")
    assert not (own.root / "out").exists()


def test_training_refuses_an_init_that_changed(own, capsys):
    flipped(own.init_file, -1)
    with pytest.raises(SystemExit) as stopped, reported_to_user():
        own.train("pt")
    assert stopped.value.code == 2 and not (own.root / "out").exists()
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {own.init_file} changed") and said.endswith("; run `dvc repro init@qa`")


def test_every_byte_of_an_init_counts(own):
    whole = own.init_file.read_bytes()
    for at in range(len(whole)):
        flipped(own.init_file, at)
        with pytest.raises(BaseModelError, match=r"qa\.safetensors .*run `dvc repro init@qa`"):
            read_text_init(own.init_file)
        own.init_file.write_bytes(whole)
    read_text_init(own.init_file)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ('{"template": {}}', "lists none"),
        ('{"template": {}, "train": 1}', "lists none"),
        ('{"train": {}}', "is damaged"),
        ('{"template": 1}', "is damaged"),
        ("[1]", "is damaged"),
        ('{"template"', "is damaged"),
    ],
)
def test_a_report_that_is_none(own, report, words):
    (own.encoded / "encode.json").write_text(report)
    with pytest.raises(DataError, match=rf"{words}.*run `dvc repro encode@qa`"):
        open_encoded(own.encoded, "train")


KILLED = """
import os, signal, sys
from pathlib import Path
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
out = Path("out")
"""
WRITERS = {
    "a file": """
from ptmoe.runtime import files
os.replace = die
files.write_text(out / "file", "1")
""",
    "a folder": """
from ptmoe.runtime import files
with files.whole_folder(out / "folder") as made:
    (made / "a").touch()
rename = Path.rename
Path.rename = lambda path, to: die() if path.name.endswith(".tmp") else rename(path, to)
with files.whole_folder(out / "folder") as made:
    (made / "a").touch()
""",
    "token ids": """
from ptmoe.encoding.task import write_encoded
from ptmoe.examples.example import Example
from ptmoe.examples.tables import collect
from ptmoe.rows.encoded import Encoded
class Encoder:
    def encode(self, batch, with_targets, statistics):
        return die() if len(batch) == 1 else [Encoded("i", "d", [1], 1, 0, 1, ["a"]) for _ in batch]
rows = collect((Example(str(n), "d", "q", "", ["a"], "", "g") for n in range(2049)), "rows.arrow")
write_encoded(rows, Encoder(), True, out / "train.arrow")
""",
    "examples": """
import ptmoe.splitting.split as split
from ptmoe.examples.example import Example
split._examples = lambda *_: (Example(str(n), "d", f"q{n}", "", ["a"], "", "g") for n in range(3000))
split.choose = die
from tests.data.support import data_params
split.split_task("t", data_params(files={"own_train": "a", "own_test": "b"}), Path("raw"), out / "t")
""",
    "a checkpoint": """
import torch
import safetensors.torch
from ptmoe.training.checkpoint import Checkpoints
Path(".checkpoints").symlink_to(out)
save = safetensors.torch.save_file
safetensors.torch.save_file = lambda *a, **k: (save(*a, **k), die())
Checkpoints("c", {}).save({"a": torch.zeros(1)}, {"step": 1})
""",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_kill_leaves_has_a_name_that_dvc_and_git_ignore(writer, tmp_path):
    (tmp_path / "out").mkdir()
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{KILLED}{WRITERS[writer]}"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    left = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()]
    hidden = [path for path in left if any(part[0] == "." and part.endswith(".tmp") for part in path.parts)]
    assert hidden and {path.name for path in set(left) - set(hidden)} <= {"about.json"}
    assert all(re.search(r"\.[0-9]+\.([^/]+\.)?tmp", str(path)) for path in hidden)


def test_what_a_kill_leaves_changes_no_hash(tmp_path):
    """An output and a dependency, each with a file and a folder of a killed process in it."""

    def dvc(*words):
        done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dvc("init", "--quiet", "--no-scm")
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    (tmp_path / "dep").mkdir()
    (tmp_path / "dep" / "a").touch()
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: mkdir -p out && touch out/b, deps: [dep], outs: [out]}}")
    dvc("repro")
    before = (tmp_path / "dvc.lock").read_bytes()
    for folder in ("dep", "out"):
        (tmp_path / folder / ".b.12.tmp").write_text("half")
        for name in (".12.xy.tmp", ".b.12.old.tmp"):
            (tmp_path / folder / name).mkdir()
            (tmp_path / folder / name / "half").touch()
    assert "up to date" in dvc("status")
    dvc("commit", "--force")
    assert (tmp_path / "dvc.lock").read_bytes() == before
