"""Rows in = rows used + rows named as dropped, from raw files to token ids, for every kind of reader."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from ptmoe.config.params import ColumnParams, TableParams
from ptmoe.encoding.task import encode_task
from ptmoe.examples.download import download_task
from ptmoe.rows.encoded import EncodedSet
from ptmoe.runtime.errors import DataError
from ptmoe.splitting.split import split_task
from tests.data.support import QA, data_params

# White space alone, quotes and separators of every container, characters of two to four bytes, long texts.
word = st.sampled_from(["a", "Zoë", "数学", "🙂", '"', "'", ",", "\t", "<&>", "####", "N_0", "\n", "{question}", " "])
text = st.lists(word, max_size=6).map(" ".join) | st.sampled_from(["", " ", "Who?", "many words " * 60])
full = st.sampled_from(["Who?", "Where is 数?", "a,b", '"q"', "long question " * 40])
number = st.sampled_from(["4", "4.0", "-3", "1,000", "", "x", "9 (apples)", "1; 2"])
ids = st.sampled_from(["1", "1", "1-2", "é"])
answers = st.lists(text, max_size=3)


def lines(path: Path, rows: list[Any]) -> None:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def one_list(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def xml(path: Path, rows: list[Any]) -> None:
    texts = ("".join(f"<{key}>{escape(row[key])}</{key}>" for key in row if key != "ID") for row in rows)
    problems = (f"<Problem ID={quoteattr(row['ID'])}>{inner}</Problem>" for row, inner in zip(rows, texts, strict=True))
    path.write_text(f"<a>{''.join(problems)}</a>", encoding="utf-8")


def table(path: Path, rows: list[Any]) -> None:
    parquet.write_table(pa.Table.from_pylist(rows), path)


def cells(path: Path, rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)


@dataclass(frozen=True)
class Kind:
    """A reader: its source, a file name, its rows, how they are written, and by which columns they are read."""

    source: str
    file: str
    row: st.SearchStrategy[Any]
    write: Callable[[Path, list[Any]], None]
    columns: ColumnParams | None = None

    def count(self, rows: list[Any]) -> int:
        return sum(max(1, len(row["qas"])) if "qas" in row else 1 for row in rows)


def keys(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(values)


asked = keys(qid=ids, question=text, answers=answers, detected_answers=st.lists(keys(text=text), max_size=2))
passage = keys(context=text, qas=st.lists(asked, max_size=3))
gsm8k = keys(question=text, answer=number | number.map("so\n#### {}".format))
own = keys(question=full, context=text, answers=st.lists(full, min_size=1, max_size=2))
columns = keys(q=full, a=full, c=text.map(lambda made: made.replace("\n", " ")))
BY = ColumnParams(question="q", answers="a", context="c")
kind = st.sampled_from(["Addition", "Common-Division"])
TRAIN = {
    "gsm8k": Kind("gsm8k_train", "a.jsonl", gsm8k, lines),
    "metamath": Kind(
        "metamath",
        "a.json",
        keys(
            type=st.sampled_from(["GSM_SV", "MATH_SV"]),
            query=text,
            original_question=text,
            response=number.map("so\nThe answer is: {}".format) | text,
        ),
        one_list,
    ),
    "mrqa": Kind("mrqa_squad_train", "a.jsonl.gz", passage, lines),
    "own": Kind("mine", "mine.jsonl", own, lines),
    "csv": Kind("mine", "mine.csv", columns, cells, BY),
}
TEST = {
    "svamp": Kind("svamp", "b.json", keys(ID=ids, Body=text, Question=text, Answer=number, Type=kind), one_list),
    "asdiv": Kind("asdiv_all", "b.xml", keys(ID=ids, Body=text, Question=text, Answer=number), xml),
    "mawps": Kind("mawps", "b.jsonl", keys(sQuestion=text, lSolutions=st.lists(number, max_size=2)), lines),
    "mawps parquet": Kind("mawps", "b.parquet", keys(question=text, answer=number), table),
    "competition": Kind(
        "math_problems", "b.jsonl", keys(problem=text, solution=number.map(r"so $\boxed{{{}}}$".format)), lines
    ),
    "mrqa": Kind("mrqa_squad", "b.jsonl", passage, lines),
    "own parquet": Kind("other", "other.parquet", own, table),
    "tsv": Kind("other", "other.tsv", columns, cells, BY),
    "table of lines": Kind("other", "other.jsonl", columns, lines, BY),
    "table in parquet": Kind("other", "other.parquet", columns, table, BY),
}
PAIRS = [
    *(("gsm8k", "svamp"), ("metamath", "asdiv"), ("gsm8k", "mawps"), ("metamath", "mawps parquet")),
    *(("gsm8k", "competition"), ("mrqa", "mrqa"), ("own", "own parquet"), ("csv", "tsv")),
    *(("csv", "table of lines"), ("own", "table in parquet")),
]


@pytest.mark.parametrize(("train", "test"), PAIRS)
# Not shrunk: an example takes half a second.
@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rows_in_are_rows_used_and_rows_named(train, test, data, base_dir):
    kinds = {TRAIN[train]: "train", TEST[test]: "in_domain"}
    rows = {each: data.draw(st.lists(each.row, min_size=3, max_size=8)) for each in kinds}
    limits = {key: data.draw(st.integers(0, 3)) for key in ("train_rows", "test_rows")}
    limits["validation_rows"] = data.draw(st.integers(1, 3))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        root, files = Path(folder), {}
        for each in kinds:
            each.write(root / each.file, rows[each])
            path = str(root / each.file)
            files[each.source] = TableParams(path=path, columns=each.columns) if each.columns else path
        params = data_params(**{role: [each.source] for each, role in kinds.items()}, files=files, **limits)
        with contextlib.suppress(DataError):  # what stops the run with a sentence is not silent
            check(root, params, {each.source: each.count(rows[each]) for each in kinds}, base_dir, said)


def check(root, params, written, base_dir, said):
    download_task("t", params, "none", root / "raw")
    shown = said.getvalue()
    for source, count in written.items():
        manifest = json.loads((root / "raw" / source / "manifest.json").read_text())
        left_out = [
            *manifest["selected_out"].items(),
            *(x for why in manifest["dropped"].values() for x in why.items()),
        ]
        assert sum(manifest["rows"].values()) + sum(number for _, number in left_out) == count
        assert all(f"{number} {reason}" in shown for reason, number in left_out)
        made = manifest["ids_renamed"]
        assert not made or f"{made} repeated ids" in shown
    split_task("t", params, root / "raw", root / "split")
    report = json.loads((root / "split" / "split.json").read_text())
    sizes, shown = report["sizes"], said.getvalue()
    in_files = {path.relative_to(root / "split"): parquet.read_table(path) for path in root.glob("split/**/*.parquet")}
    training, (test,) = params.train[0], params.in_domain
    beyond = sizes["beyond_validation_rows"] + sizes["beyond_train_rows"]
    assert sizes["train"] + sizes["validation"] + beyond == sum(report["sources"][training]["rows"].values())
    tests = json.loads((root / "split" / "datasets.json").read_text())
    used = sum(each["rows"] for each in tests.values())
    assert used + sizes["beyond_test_rows"] == sum(report["sources"][test]["rows"].values())
    assert sum(file.num_rows for file in in_files.values()) == used + sizes["train"] + sizes["validation"]
    for file in in_files.values():
        keys = list(zip(file["dataset"].to_pylist(), file["id"].to_pylist(), strict=True))
        assert len(set(keys)) == len(keys)
    assert all(f"{count} beyond {key[7:]}" in shown for key, count in sizes.items() if key[:7] == "beyond_" and count)
    encode_task("t", QA, 96, root / "split", base_dir, root / "encoded")
    shown, report = said.getvalue(), json.loads((root / "encoded" / "encode.json").read_text())
    for path, file in in_files.items():
        name = str(path.with_suffix(""))
        dropped = sum(report[name]["dropped"].values())
        assert len(EncodedSet(root / "encoded" / f"{name}.arrow")) + dropped == file.num_rows
    sets = [report[str(path.with_suffix(""))] for path in in_files]
    for key, words in (("contexts_cut", "contexts cut"), ("over_length", "test rows too long and kept")):
        total = sum(each[key] for each in sets)
        assert not total or f"{total} {words}" in shown
    total = sum(sum(each["dropped"].values()) for each in sets)
    assert not total or f"{total} training or validation rows too long" in shown
