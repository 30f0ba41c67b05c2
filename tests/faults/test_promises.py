"""Promises of docs/security.md that no other test keeps: pickle, XML, spreadsheets; and the page names a test each."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

from ptmoe.config.params import ColumnParams, TableParams
from ptmoe.examples.loaded import fetch_table
from ptmoe.examples.records import read_records
from ptmoe.reporting.report import write_report
from ptmoe.runtime.errors import AdapterError, BaseModelError, DataError
from ptmoe.sources.fetch import place_files
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.faults.test_adapters import adapter, base_folder, edit  # noqa: F401
from tests.reporting.conftest import METHODS, SEEDS, STATISTICS, whole_run  # noqa: F401

SOURCES = ("ptmoe", "stages", "recipes")
READERS = {
    "pickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "cloudpickle",
    "torch.load",
    "torch.jit.load",
    "read_pickle",
}


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_no_code_of_ours_reads_pickle(project_root):
    for path in (path for name in SOURCES for path in (project_root / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [ast.unparse(node)] if isinstance(node, ast.Attribute) else []
            names += [node.arg or ""] if isinstance(node, ast.keyword) else []
            assert not READERS & set(names) and "allow_pickle" not in names, f"{path}: {names}"


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.safetensors"])
def test_pickled_weights_of_an_adapter_are_not_read(name, adapter, tmp_path):  # noqa: F811
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(AdapterError, match="is missing" if name.endswith("bin") else "is damaged"):
        PromptedLM.load(adapter)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_of_a_base_are_not_read(name, adapter, base_folder, tmp_path):  # noqa: F811
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_bytes((base_folder / "config.json").read_bytes())
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    edit(adapter, base={"name": str(folder)})
    with pytest.raises(BaseModelError, match=r"no \*\.safetensors"):
        PromptedLM.load(adapter)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.npy", "a.bin"])
def test_pickled_data_is_not_read(name, tmp_path):
    (tmp_path / name).write_bytes(pickle.dumps([{"question": "q", "answer": Trap(tmp_path / "sprung")}]))
    (tmp_path / "out").mkdir()
    table = TableParams(path=str(tmp_path / name), columns=ColumnParams(question="question", answers="answer"))
    with pytest.raises(DataError, match="unknown format"):
        fetch_table("own", table, tmp_path / "out")
    with pytest.raises(DataError, match="unknown format"):
        list(read_records(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
ENTITIES = {
    "laughs": (f'<!DOCTYPE a [<!ENTITY a0 "{"ha" * 50}">{LAUGHS}]>', "&a11;", "amplification"),
    "square": (f'<!DOCTYPE a [<!ENTITY a "{"x" * 100_000}">]>', "&a;" * 20_000, "amplification"),
    "file": ('<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "&a;", "undefined entity"),
}


@pytest.mark.parametrize("kind", ENTITIES)
def test_xml_neither_expands_without_end_nor_reads_other_files(kind, tmp_path):
    head, body, words = ENTITIES[kind]
    (tmp_path / "a.xml").write_text(f'{head}<a><Problem ID="1"><Body>{body}</Body></Problem></a>')
    with pytest.raises(DataError, match=rf"a\.xml, line 1: invalid XML \(.*{words}"):
        list(read_records(tmp_path / "a.xml"))


def test_no_cell_of_a_table_is_a_formula(whole_run, tmp_path):  # noqa: F811
    write_report(["qa", "math"], METHODS, SEEDS, STATISTICS, whole_run, tmp_path / "report")
    tables = list((tmp_path / "report").glob("*.csv"))
    cells = {cell for path in tables for line in path.read_text().splitlines() for cell in line.split(",")}
    texts = {cell for cell in cells if not re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", cell)}
    assert len(tables) > 5 and not [cell for cell in texts if cell.lstrip('"')[:1] in tuple("=+-@\t\r") and cell]


def test_a_file_named_like_our_manifest_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("manifest.json", "a.jsonl"):
        (tmp_path / "in" / name).write_text('{"question": "q", "answer": "a"}\n')
    with pytest.raises(DataError, match="rename it"):
        place_files("own", str(tmp_path / "in"), "none", tmp_path / "out", {})


def test_files_of_a_folder_that_are_not_read_are_named(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.jsonl", "b.csv", "notes.txt"):
        (tmp_path / "in" / name).write_text('{"question": "q", "answer": "a"}\n')
    for kind in ("table", "files"):
        (tmp_path / kind).mkdir()
    origin, _ = place_files("own", str(tmp_path / "in"), "none", tmp_path / "files", {})
    assert origin.endswith("(2 files not read: b.csv, notes.txt)")
    (tmp_path / "in" / "c.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    table = TableParams(path=str(tmp_path / "in"), columns=ColumnParams(question="question", answers="answer"))
    origin, _ = fetch_table("own", table, tmp_path / "table")
    assert origin.endswith("(1 files not read: b.csv)")


def test_the_page_names_a_test_for_each_promise(project_root):
    page = (project_root / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]
    promises = [row for row in rows if "`test_" in row or "`tests/" in row]
    assert len(promises) > 9
    for row in promises:
        for file, name in re.findall(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`", row.split("|")[-2]):
            path = project_root / (file if file.startswith("tests/") else f"tests/faults/{file}")
            assert path.is_file() and (not name or f"def {name}(" in path.read_text(encoding="utf-8")), file
