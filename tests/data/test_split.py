"""Groups stay together, whatever the order of the file; test sets stay whole; leaks are found."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from pyarrow import parquet

from ptmoe.examples import tables
from ptmoe.examples.download import download_task
from ptmoe.examples.example import Example
from ptmoe.examples.tables import collect, load_examples, write_examples
from ptmoe.runtime.errors import DataError
from ptmoe.splitting.leakage import PRINTS, overlap, prints_of
from ptmoe.splitting.split import choose, split_task
from tests.data.support import data_params, real, write_lines


def split(tmp_path, name, data):
    """The rows of one run, by set."""
    raw, out = tmp_path / f"raw-{name}", tmp_path / f"split-{name}"
    download_task("t", data, "none", raw)
    split_task("t", data, raw, out)
    return out


def rows(out, name):
    return [Example(**row) for row in parquet.read_table(out / f"{name}.parquet").to_pylist()]


def metamath(questions=40, variants=6):
    return [
        {
            "type": "GSM_SV",
            "query": f"q{n} variant {v}?",
            "original_question": f"original  {n}",
            "response": f"{v}\nThe answer is: {n}",
        }
        for n in range(questions)
        for v in range(variants)
    ]


def test_no_original_question_lies_on_both_sides_in_any_order_of_the_file(tmp_path):
    records = metamath()
    sides = []
    for name, seed in (("a", None), ("b", 1), ("c", 2)):
        shuffled = records if seed is None else random.Random(seed).sample(records, len(records))
        path = write_lines(tmp_path / f"{name}.jsonl", shuffled)
        files = {
            "metamath": str(path),
            "own_test": str(write_lines(tmp_path / "t.jsonl", [{"question": "x", "answer": "y"}])),
        }
        out = split(tmp_path, name, data_params(train=["metamath"], files=files, validation_rows=20))
        train, validation = rows(out, "train"), rows(out, "validation")
        assert not {e.group for e in train} & {e.group for e in validation}
        assert len(validation) == 20 and len(train) == 240 - 24
        sides.append(([e.id for e in train], [e.id for e in validation]))
    assert sides[0] == sides[1] == sides[2]


def test_the_same_run_gives_the_same_bytes(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", metamath())
    files = {
        "metamath": str(path),
        "own_test": str(write_lines(tmp_path / "t.jsonl", [{"question": "x", "answer": "y"}])),
    }
    outs = [split(tmp_path, name, data_params(train=["metamath"], files=files)) for name in "ab"]
    names = sorted(str(path.relative_to(outs[0])) for path in outs[0].rglob("*") if path.is_file())
    assert names == ["datasets.json", "split.json", "test/own_test.parquet", "train.parquet", "validation.parquet"]
    assert all((outs[0] / name).read_bytes() == (outs[1] / name).read_bytes() for name in names)


def test_passages_stay_together_on_real_squad_rows(tmp_path):
    files = {"mrqa_train": str(real("mrqa/squad-train-seed-42-num-examples-1024_qass.jsonl"))}
    files["mrqa_out_of_domain"] = str(real("mrqa/NewsQA_sample.jsonl"))
    data = data_params(
        train=["mrqa_train"], in_domain=[], out_of_domain=["mrqa_out_of_domain"], files=files, validation_rows=100
    )
    out = split(tmp_path, "a", data)
    train, validation = rows(out, "train"), rows(out, "validation")
    assert not {e.context for e in train} & {e.context for e in validation}
    left_out = json.loads((out / "split.json").read_text())["sizes"]["beyond_validation_rows"]
    assert len(train) + len(validation) + left_out == 1024 and len(validation) == 100
    assert json.loads((out / "datasets.json").read_text()) == {"NewsQA_sample": {"domain": "out-of-domain", "rows": 17}}


def test_groups_go_to_validation_until_it_is_full():
    keys = np.arange(10, dtype=np.uint64)[::-1].copy()
    groups = np.array([5, 5, 5, 1, 1, 1, 1, 9, 9, 9], np.uint64)
    train, validation, beyond = choose(keys, groups, 5, 0)
    assert set(validation) | set(range(3)) == {0, 1, 2, 3, 4, 5, 6} and set(train) == {7, 8, 9}
    assert beyond == {"beyond_train_rows": 0, "beyond_validation_rows": 2}
    train, _, beyond = choose(keys, groups, 4, 2)
    assert list(train) == [9, 8] and beyond == {"beyond_train_rows": 4, "beyond_validation_rows": 0}


def test_test_sets_keep_their_official_order_and_limits_take_a_part(tmp_path):
    tests = [{"id": f"r{n}", "question": f"q{n}", "answer": "1"} for n in range(30)]
    files = {
        "own_train": str(write_lines(tmp_path / "a.jsonl", [{"question": f"t{n}", "answer": "1"} for n in range(9)])),
        "own_test": str(write_lines(tmp_path / "b.jsonl", tests)),
    }
    whole = rows(split(tmp_path, "a", data_params(files=files)), "test/own_test")
    assert [e.id for e in whole] == [record["id"] for record in tests] and {e.target for e in whole} == {""}
    part = [e.id for e in rows(split(tmp_path, "b", data_params(files=files, test_rows=7)), "test/own_test")]
    assert len(part) == 7 and part == sorted(part, key=lambda id: int(id[1:])) and part != [f"r{n}" for n in range(7)]


def own(tmp_path, train, test, **changes):
    files = {
        "own_train": str(write_lines(tmp_path / "a.jsonl", train)),
        "own_test": str(write_lines(tmp_path / "b.jsonl", test)),
    }
    return data_params(files=files, validation_rows=1, **changes)


def test_a_leak_fails_the_stage_and_is_in_the_report(tmp_path):
    train = [{"question": f"Question {n}?", "answer": "1"} for n in range(20)]
    test = [{"question": "question 3 !", "answer": "1"}, {"question": "another", "answer": "1"}]
    with pytest.raises(DataError, match=r"max_leakage = 10.0% .*own_test in (train|validation): 50.00%"):
        split(tmp_path, "a", own(tmp_path, train, test, max_leakage=10.0))
    out = split(tmp_path, "b", own(tmp_path, train, test, max_leakage=50.0))
    pairs = json.loads((out / "split.json").read_text())["leakage"]
    found = [pairs[f"own_test in {side}"] for side in ("train", "validation")]
    assert sum(counts["normalised_question"] for counts in found) == 1
    assert sum(counts["question"] for counts in found) == 0
    assert pairs["validation in train"]["leaked"] == 0


def prints(*examples):
    made = [prints_of(Example("i", "d", question, context, [], "", group)) for question, context, group in examples]
    return np.array(made, [(name, np.uint64) for name in PRINTS])


def test_what_counts_as_a_leak():
    known = prints(("Who?", "A passage", "g1"), ("How many apples?", "", "g2"))
    asked = prints(
        ("who", "Another", "g3"), ("WHO", "A  passage", "g1"), ("Why?", "A passage", "g1"), ("Apples?", "", "g2")
    )
    assert overlap(known, asked) == {
        "question": 0, "normalised_question": 2, "context": 2, "group": 3, "leaked": 2, "rows": 4
    }  # fmt: skip


def test_rows_are_written_in_the_order_asked_across_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BATCH_ROWS", 3)
    monkeypatch.setattr(tables, "WRITTEN_ROWS", 4)
    examples = collect((Example(f"{n}", "d", "q", "", ["a"], "", "g") for n in range(8)), tmp_path / "a.arrow")
    order = [7, 0, 5, 2, 6, 1]
    write_examples(tmp_path / "a.parquet", examples.select(order))
    assert parquet.read_table(tmp_path / "a.parquet")["id"].to_pylist() == [str(n) for n in order]
    assert parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 2


def test_examples_in_a_notebook(tmp_path):
    import ptmoe

    with pytest.raises(DataError, match=r"nowhere/t holds no examples; run `dvc repro split`"):
        ptmoe.load_examples("t", root=tmp_path / "nowhere")
    train = [{"question": f"q{n}", "answers": ["1", "2"], "context": f"c{n}"} for n in range(9)]
    # A folder's name may hold what `datasets` takes for a pattern.
    out = split(tmp_path, "a", own(tmp_path, train, train[:2], max_leakage=100.0)).rename(tmp_path / "[x]*t")
    loaded = ptmoe.load_examples(out.name, root=tmp_path)
    assert loaded.column_names == tables.FIELDS and len(loaded) == 8
    assert [Example(**row) for row in loaded] == rows(out, "train")
    tests = [load_examples(out.name, name, tmp_path) for name in ("test", "test/own_test")]
    assert [row["question"] for row in tests[0]] == [row["question"] for row in tests[1]] == ["q0", "q1"]
    with pytest.raises(DataError, match=r"has no split 'tset'; allowed: test, test/own_test, train, validation"):
        ptmoe.load_examples(out.name, "tset", tmp_path)
    (out / "train.parquet").write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"train.parquet: not a complete parquet file"):
        ptmoe.load_examples(out.name, "train", tmp_path)


def test_validation_must_leave_rows_to_train_on(tmp_path):
    train = [{"question": f"q{n}", "answer": "1"} for n in range(3)]
    with pytest.raises(DataError, match="of 3 rows validation takes all; lower validation_rows"):
        split(tmp_path, "a", own(tmp_path, train, train, max_leakage=100.0).model_copy(update={"validation_rows": 3}))
