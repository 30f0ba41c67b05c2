"""docs/own-data.md as its reader follows it: the rows, the blocks of params.yaml and the stages up to token ids."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from ptmoe.config.params import Params, read_yaml
from ptmoe.encoding.task import encode_task
from ptmoe.examples.convert import Tally, examples_of
from ptmoe.examples.download import download_task
from ptmoe.rows.encoded import EncodedSet
from ptmoe.runtime.errors import DataError
from ptmoe.sources.registry import Source
from ptmoe.splitting.split import split_task
from tests.data.support import write_lines

OWN = Source(converter="own", licence="")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def merged(into, new):
    """Adds the keys of one mapping to another, at every depth."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merged(into[key], value)
        else:
            into[key] = value
    return into


def test_the_page_leads_to_token_ids(project_root, tmp_path, base_dir, monkeypatch):
    page = (project_root / "docs" / "own-data.md").read_text(encoding="utf-8")
    tree = read_yaml(project_root / "params.yaml")
    for block in blocks(page, "yaml"):
        merged(tree, YAML(typ="safe", pure=True).load(block))
    params = Params(tree)
    assert params.grid.tasks == ["orders"]
    subprocess.run([sys.executable, "-c", *blocks(page, "python")], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    data = params.profile.data["orders"]
    download_task("orders", data, params.profile.mirror, tmp_path / "raw")
    split_task("orders", data, tmp_path / "raw", tmp_path / "split")
    template, length = params.task("orders").template, params.profile.max_length["orders"]
    encode_task("orders", template, length, tmp_path / "split", base_dir, tmp_path / "encoded")
    sets = {name: len(EncodedSet(tmp_path / "encoded" / f"{name}.arrow")) for name in ("train", "test/orders_test")}
    assert sets == {"train": 350, "test/orders_test": 50}


def converted(tmp_path, *records):
    return list(examples_of("own", OWN, [write_lines(tmp_path / "a.jsonl", list(records))], True, Tally()))


def test_defaults(tmp_path):
    first, second, third = converted(
        tmp_path,
        {"question": " Who? ", "answer": 5},
        {"question": "Who?", "context": "A  b", "answers": ["x", " ", "y"], "target": "so: x", "id": 7},
        {"question": "Why?", "context": "A b", "answers": ["x"]},
    )
    assert (first.question, first.answers, first.target, first.dataset) == ("Who?", ["5"], "5", "own")
    assert (second.id, second.answers, second.target) == ("7", ["x", "y"], "so: x")
    assert second.group == third.group != first.group


def test_rows_without_ids_may_repeat(tmp_path):
    made = converted(tmp_path, {"question": "Who?", "answer": "a"}, {"question": "Who?", "answer": "b"})
    assert made[1].id == f"{made[0].id}-2"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "q"}, "give either 'answers'"),
        ({"question": "q", "answers": ["a"], "answer": "a"}, "give either 'answers'"),
        ({"question": "q", "answers": []}, "no answer"),
        ({"question": "q", "answer": " "}, "no answer"),
        ({"question": " ", "answer": "a"}, "'question' is empty"),
        ({"question": 5, "answer": "a"}, "'question' must be a string, got a number: 5"),
        ({"question": "q", "answer": "a", "contxt": "c"}, "unknown key 'contxt'; allowed: id, context"),
        ({"question": "q", "answer": "a", "context": ["c"]}, "'context' must be a string, got a list"),
        ({"question": "q", "answer": {"text": "a"}}, "'answer' must be a string, got an object"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path, record, message):
    with pytest.raises(DataError, match=rf"a.jsonl, line 2: {re.escape(message)}"):
        converted(tmp_path, {"question": "fine", "answer": "a"}, record)


def test_a_first_line_is_refused_like_any_other(tmp_path):
    with pytest.raises(DataError, match=r"a.jsonl, line 1: unknown key 'qestion'"):
        converted(tmp_path, {"qestion": "q", "answer": "a"})


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    row = {"question": "q", "answer": "a", "id": "x"}
    with pytest.raises(DataError, match="own: the id 'x' occurs twice in own; make it unique or leave it out"):
        converted(tmp_path, row, {**row, "question": "other"})


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"a.jsonl has no records"):
        list(examples_of("own", OWN, [tmp_path / "a.jsonl"], True, Tally()))
