"""Containers: what is read, and what is refused with file and line."""

from __future__ import annotations

import gzip
import json

import pytest

from ptmoe.examples import records
from ptmoe.examples.records import Record, columns_of, read_records
from ptmoe.runtime.errors import DataError


def values(path):
    return [record.values for record in read_records(path)]


def test_containers_hold_the_same_records(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"question": f"Größe {number}?", "answer": "4"} for number in range(5)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "b.json").write_text("\n " + json.dumps(rows, indent=1), encoding="utf-8")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    for name in ("a.jsonl", "b.json", "c.jsonl.gz", "d.parquet"):
        assert values(tmp_path / name) == rows, name
        assert columns_of(tmp_path / name) == {"question", "answer"}


def test_json_list_is_streamed_over_chunks_that_cut_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_CHUNK_BYTES", 3)
    rows = [{"text": "日本語 ü 🙂"}, {"text": "]}, ["}, {"n": 1}]
    (tmp_path / "a.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    assert values(tmp_path / "a.json") == rows


def test_ten_megabyte_line(tmp_path):
    big = "x" * 10_000_000
    (tmp_path / "a.jsonl").write_text(json.dumps({"context": big}) + '\n{"context": "y"}\n')
    assert [len(row["context"]) for row in values(tmp_path / "a.jsonl")] == [10_000_000, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": 1}\n{"q": \n', "a.jsonl, line 2: invalid JSON"),
        ("a.jsonl", b'{"q": 1}\n\n[1]\n', "a.jsonl, line 3: a line must hold one JSON object"),
        ("a.jsonl", b'{"q": "\xff"}\n', "a.jsonl, line 1: invalid UTF-8 at byte 7"),
        ("a.jsonl.gz", gzip.compress(b'{"q": 1}\n' * 10_000)[:-30], "a.jsonl.gz: the gzip data is truncated"),
        ("a.jsonl.gz", b"<html>no gzip</html>", "a.jsonl.gz: the gzip data is truncated or damaged"),
        ("a.json", b'[{"q": 1}, {"q": 2}', "a.json, record 3: invalid JSON .*cut off"),
        ("a.json", b'[{"q": 1}, 5]', "a.json, record 2: must be a JSON object"),
        ("a.json", b'[{"q": "\xff"}]', "a.json: invalid UTF-8"),
        ("a.json", b"7", "a.json: must hold a list of objects"),
        ("a.xml", b'<a><p ID="1"><Body>x</Body></p><p ID="2">', "a.xml, line 1: invalid XML"),
        ("a.parquet", b"PAR1 and nothing else", "a.parquet is not a complete parquet file"),
        ("a.csv", b"q,a\n", "a.csv has an unknown format; allowed: .jsonl"),
    ],
)
def test_damage_is_refused_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        values(tmp_path / name)


def test_missing_keys_and_wrong_types_are_refused_with_their_place():
    record = Record({"question": 5, "answers": ["a", 1], "none": None}, "f.jsonl, line 7")
    with pytest.raises(DataError, match=r"f.jsonl, line 7: 'question' must be a string, got a number: 5"):
        record.text("question")
    with pytest.raises(DataError, match=r"line 7: 'answers' must be a list of strings"):
        record.texts("answers")
    with pytest.raises(DataError, match=r"line 7: the key 'none' is missing; the record has question, answers, none"):
        record.text("none")
    assert record.text("none", "given") == "given"
    assert record.number("question") == "5"
