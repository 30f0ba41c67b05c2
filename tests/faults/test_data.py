"""Records of others: names that would leave their folder, files that expand without end, JSON that is none."""

import gzip
import json

import pytest

from ptmoe.examples.convert import _DATASET, Tally, examples_of
from ptmoe.examples.records import check_expansion, read_records
from ptmoe.runtime.errors import DataError
from ptmoe.sources.registry import Source, load_sources

PASSAGE = {"context": "It rains.", "qas": [{"question": "Is it?", "answers": ["yes"], "qid": "1"}]}
READING = Source(converter="reading", licence="")


def mrqa(folder, name):
    lines = [{"header": {"dataset": name, "split": "dev"}}, PASSAGE]
    (folder / "a.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder / "a.jsonl"


@pytest.mark.parametrize(
    "name",
    [
        *("../../..", "/elsewhere/x", "../train", ".hidden", "a/../b", "a/b/c", "a/", "", "a\\b", "a\nb", "x" * 81),
        *("=HYPERLINK(1)", "+1", "-1", "@x", r"a$\frac{$", "a\x00b", "CON:", "a<b>"),
    ],
)
def test_a_name_that_is_no_name_is_refused_with_file_and_line(name, tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: the data set is called|'dataset' is missing"):
        print(list(examples_of("s", READING, [mrqa(tmp_path, name)], False, Tally())))


@pytest.mark.parametrize("name", ["SVAMP/Addition", "Größe 2", "Quora.v2", "two_step-1", "数学"])
def test_a_name_stays_as_it_is(name, tmp_path):
    assert [made.dataset for made in examples_of("s", READING, [mrqa(tmp_path, name)], False, Tally())] == [name]


def test_every_name_of_sources_yaml_is_allowed():
    names = [name for source in load_sources().values() for name in source.datasets]
    assert names and all(_DATASET.fullmatch(name) for name in names)


@pytest.mark.parametrize("ending", [".jsonl.gz", ".json.gz"])
def test_a_file_that_expands_without_end(ending, tmp_path, monkeypatch):
    monkeypatch.setattr("ptmoe.examples.records.FREE_BYTES", 1 << 20)
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(b"[" + b" " * (1 << 23)))
    for read in (lambda: list(read_records(path)), lambda: check_expansion(tmp_path)):
        with pytest.raises(DataError, match=r"expands to over 200 times its size"):
            read()


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_record_without_end(name, tmp_path, monkeypatch):
    monkeypatch.setattr("ptmoe.examples.records.LARGEST_RECORD", 1 << 20)
    (tmp_path / name).write_text('[{"q": "' + "x" * (1 << 22))
    with pytest.raises(DataError, match=r"a record of over 1 MiB"):
        list(read_records(tmp_path / name))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NaN", "NaN is not a number"),
        ("-Infinity", "-Infinity is not a number"),
        ("1e999", "too large"),
        ("1" * 5000, "invalid JSON"),
        (r'"\ud800"', "half a character"),
        ("[" * 100_000, "nested too deeply|recursion"),
        ("{} {}", "invalid JSON"),
    ],
)
@pytest.mark.parametrize("form", ["a.jsonl", "list.json", "object.json"])
def test_json_that_is_none(value, words, form, tmp_path):
    text = f'{{"q": {value}}}'
    (tmp_path / form).write_text(f"[{text}]" if form == "list.json" else text)
    with pytest.raises(DataError, match=words) as refusal:
        list(read_records(tmp_path / form))
    assert len(str(refusal.value)) < 300


def test_two_lists_in_one_file(tmp_path):
    (tmp_path / "a.json").write_text('[{"q": 1}]\n[{"q": 2}]')
    with pytest.raises(DataError, match="something follows the list"):
        list(read_records(tmp_path / "a.json"))
