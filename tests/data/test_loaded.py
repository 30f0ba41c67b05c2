"""Sources in any form that `datasets` reads: files, folders and the Hub, by a mapping of columns."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet
from ruamel.yaml import YAML

from ptmoe.config.params import Params, TableParams, read_yaml
from ptmoe.examples.download import download_task
from ptmoe.runtime.errors import DataError, ParamsError
from ptmoe.sources.raw import read_manifest
from ptmoe.splitting.split import split_task
from tests.conftest import ROOT
from tests.data.server import serving
from tests.data.support import data_params

COLUMNS = {"question": "Frage", "context": "Text", "answers": "Antwort"}
ROWS = [{"Frage": f"Wer ist {n}?", "Text": f"Ann ist {n}, sagt NA.", "Antwort": f"0{n}"} for n in range(6)]
CSV = "Nummer,Frage,Text,Antwort\n" + "".join(
    f'{n},"{row["Frage"]}","{row["Text"]}",{row["Antwort"]}\n' for n, row in enumerate(ROWS)
)
WANTED = [{"question": row["Frage"], "context": row["Text"], "answers": [row["Antwort"]]} for row in ROWS]


def loaded(tmp_path, path, columns=COLUMNS, **more):
    """The rows of a source as the download stage leaves them."""
    table = TableParams.model_validate({"path": str(path), "columns": columns} | more)
    download_task("t", data_params(train=["mine"], in_domain=[], files={"mine": table}), "none", tmp_path / "raw")
    folder = tmp_path / "raw" / "mine"
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "mine.jsonl"]
    return [json.loads(line) for line in (folder / "mine.jsonl").read_text(encoding="utf-8").splitlines()]


def plain(rows):
    return [{key: row[key] for key in ("question", "context", "answers")} for row in rows]


@pytest.mark.parametrize(
    "form", ["a.csv", "a.tsv", "a.csv.gz", "a.json", "a.jsonl", "a.parquet", "a.arrow", "[x]*/a.csv"]
)
def test_every_form_gives_the_same_rows(tmp_path, form):
    path = tmp_path / "in" / form
    path.parent.mkdir(parents=True)
    table = pa.Table.from_pylist(ROWS)
    if form.endswith(".parquet"):
        parquet.write_table(table, path)
    elif form.endswith(".arrow"):
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
            out.write_table(table)
    else:
        text = {
            "a.tsv": CSV.replace(",", "\t").replace("\t sagt", ", sagt"),
            "a.json": json.dumps(ROWS),
            "a.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
        }
        body = text.get(form, CSV).encode()
        path.write_bytes(gzip.compress(body) if form.endswith(".gz") else body)
    assert plain(loaded(tmp_path, path)) == WANTED
    assert read_manifest(tmp_path / "raw" / "mine")["from"] == f"local {path}"


def test_cells_of_a_csv_file_are_texts_as_written(tmp_path):
    (tmp_path / "a.csv").write_text("q,a,c\nwho?,NA,\nwhat?,007,null\nwhich?,1.50,x\n")
    rows = loaded(tmp_path, tmp_path / "a.csv", {"question": "q", "answers": "a", "context": "c"})
    assert [(row["answers"], row["context"]) for row in rows] == [(["NA"], ""), (["007"], "null"), (["1.50"], "x")]


def test_a_folder_with_splits(tmp_path):
    for name in ("train", "test"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.csv").write_text(CSV if name == "test" else CSV[: CSV.index("1,")])
    assert len(loaded(tmp_path, tmp_path / "in", split="train")) == 1
    assert len(loaded(tmp_path, tmp_path / "in", split="test")) == 6
    with pytest.raises(DataError, match=r"in has several splits; set `split`; allowed: train, test"):
        loaded(tmp_path, tmp_path / "in")
    with pytest.raises(DataError, match=r"in has no split 'dev'; allowed: train, test"):
        loaded(tmp_path, tmp_path / "in", split="dev")


def test_a_saved_data_set_with_nested_columns_lists_and_numbers(tmp_path):
    from datasets import Dataset, DatasetDict

    rows = [
        {"q": "who?", "given": {"text": ["Ann", "Anne"], "start": [0, 0]}, "customer": 17, "n": 1},
        {"q": "when?", "given": {"text": ["1998"], "start": [3]}, "customer": 17, "n": 2},
    ]
    DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(tmp_path / "in")
    made = loaded(tmp_path, tmp_path / "in", {"question": "q", "answers": "given.text", "group": "customer", "id": "n"})
    assert made[0] == {"question": "who?", "answers": ["Ann", "Anne"], "id": "1", "group": "17"}
    numbers = loaded(tmp_path, tmp_path / "in", {"question": "q", "answers": "n"})
    assert [row["answers"] for row in numbers] == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"q": "x", "a": ["y"]}\n{"q": "x", "a": []}\n', "a.jsonl, row 2: no answer; a question needs at least one"),
        ('{"q": "x", "a": "y"}\n{"q": null, "a": "y"}\n', "a.jsonl, row 2: the key 'question' is missing"),
        ('{"q": 5, "a": "y"}\n', "a.jsonl, row 1: 'question' must be a string, got a number: 5"),
        ('{"q": "x", "a": [{"b": 1}]}\n', "a.jsonl, row 1: 'answers' must be a list of strings, got"),
        ('{"frage": "x", "a": "y"}\n', "a.jsonl has no column 'q' for columns.question; it has a, frage"),
        ('{"q": "x", "a"', "a.jsonl cannot be read (JSON parse error"),
        ('{"q": "\udcc4(", "a": "y"}\n', "a.jsonl holds a text that is not UTF-8"),
    ],
)
def test_rows_and_files_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, tmp_path / "a.jsonl", {"question": "q", "answers": "a"})
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "raw" / "mine").iterdir())


def test_only_tables_are_read(tmp_path):
    with pytest.raises(DataError, match=r"data.files.mine: .*a.pkl does not exist; give a file, a folder, or an id on"):
        loaded(tmp_path, tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a.pkl has an unknown format; allowed: .csv, .tsv, .json"):
        loaded(tmp_path, tmp_path / "a.pkl")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"in holds files of the kind 'text'; allowed: .csv"):
        loaded(tmp_path, tmp_path / "in")


def test_a_table_may_stand_in_for_a_published_source(tmp_path, capsys):
    (tmp_path / "a.csv").write_text(CSV)
    table = TableParams.model_validate({"path": str(tmp_path / "a.csv"), "columns": COLUMNS})
    data = data_params(train=["gsm8k_train"], in_domain=[], files={"gsm8k_train": table})
    download_task("t", data, "none", tmp_path / "raw")
    assert "not the published size (GSM8K: 6 rows, expected 7473)" in capsys.readouterr().out
    split_task("t", data, tmp_path / "raw", tmp_path / "split")
    answers = parquet.read_table(tmp_path / "split" / "train.parquet")["answers"].to_pylist()
    assert sorted(answer for (answer,) in answers)[0].startswith("0")


CODE = """
import sys
from pathlib import Path
from ptmoe.config.params import TableParams
from ptmoe.examples.loaded import fetch_table
from ptmoe.runtime.errors import reported_to_user
with reported_to_user():
    origin, (file,) = fetch_table("mine", TableParams.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
    print(origin, len(file.read_text().splitlines()))
"""
COMMIT = "c" * 40


def test_the_hub_at_a_revision_and_then_offline_without_code(tmp_path):
    with serving() as hub:
        files = {"README.md": b"# x", "data/train.csv": CSV.encode(), "load.py": b"raise SystemExit(9)"}
        info = {"id": "o/d", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        tree = [{"type": "file", "path": n, "size": len(body), "oid": n} for n, body in files.items()]
        hub.headers["X-Repo-Commit"] = COMMIT
        hub.files[f"/api/datasets/o/d/tree/{COMMIT}"] = json.dumps(tree).encode()
        hub.files[f"/api/datasets/o/d/revision/{COMMIT}"] = json.dumps(info).encode()
        hub.files |= {f"/datasets/o/d/resolve/{COMMIT}/{name}": body for name, body in files.items()}

        def fetch(offline, **changes):
            home, out = tmp_path / "home", tmp_path / f"out{offline}"
            out.mkdir(exist_ok=True)
            environment = {**os.environ, "HF_ENDPOINT": hub.url.rstrip("/"), "HF_HUB_DISABLE_XET": "1"}
            environment |= {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": offline}
            table = {"path": "o/d", "columns": COLUMNS, "revision": COMMIT} | changes
            command = [sys.executable, "-c", CODE, json.dumps(table), str(out)]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)

        first = fetch("0")
        assert first.stdout == f"o/d at {COMMIT} 6\n", first.stderr
        hub.files.clear()
        assert fetch("1").stdout == first.stdout
        assert not any("load.py" in asked for asked, _ in hub.asked)
        wrong = fetch("1", columns={"question": "q", "answers": "a"})
        assert wrong.returncode == 2 and "has no column 'q'" in wrong.stderr and "Traceback" not in wrong.stderr
        elsewhere = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and "hub" not in path.parts]
        assert not elsewhere


def test_params_say_what_is_wrong_with_a_table():
    tree = read_yaml(ROOT / "params.yaml")
    files = tree["profiles"]["mini"]["data"]["qa"]["files"]
    files["mini_qa_train"] = {"path": "a.csv", "columns": {"question": "q", "anwsers": "a"}}
    with pytest.raises(ParamsError) as caught:
        Params(tree)
    key = "profiles.mini.data.qa.files.mini_qa_train.columns"
    assert f"{key}.answers: missing; add it" in str(caught.value)
    assert f"{key}.anwsers: unknown key" in str(caught.value) and "2 fault(s)" in str(caught.value)
    files["mini_qa_train"] = "a.jsonl"
    Params(tree)


def test_the_block_of_the_documentation_is_valid():
    page = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    block = YAML(typ="safe", pure=True).load(page.partition("```\nfiles:")[2].partition("```")[0])
    assert [TableParams.model_validate(table).path for table in block.values()] == [
        "data/own/orders.csv",
        "someone/orders",
    ]
