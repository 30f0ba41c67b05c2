"""Near duplicates: all that brute force finds, and no others; reported, without any change to the rows."""

from __future__ import annotations

import json
import random

from pyarrow import parquet

from ptmoe.examples.convert import Tally, examples_of
from ptmoe.examples.download import download_task
from ptmoe.examples.text import normalised
from ptmoe.sources.registry import Source
from ptmoe.splitting import near
from ptmoe.splitting.near import near_duplicates
from ptmoe.splitting.split import split_task
from tests.data.support import data_params, real, write_lines

SENTENCE = "how many apples does Ann have left when she sells 7 of 12 apples"


def pieces(text):
    return {text[start : start + near.PIECE_CHARACTERS] for start in range(len(text) - near.PIECE_CHARACTERS + 1)}


def brute_force(known, asked):
    def share(one, other):
        return len(one & other) / max(len(one | other), 1)

    sets = [pieces(text) for text in known]
    return [text not in known and any(share(pieces(text), other) >= near.THRESHOLD for other in sets) for text in asked]


def made_up(count, seed):
    """Sentences of which many are alike."""
    dice, words = random.Random(seed), SENTENCE.split()
    return [" ".join(dice.choice(words) if dice.random() < 0.2 else word for word in words) for _ in range(count)]


def test_the_same_as_brute_force_also_over_chunks(monkeypatch):
    known, asked = made_up(200, 0), made_up(2, 0) + made_up(80, 1) + ["", "abc", "how many"]
    expected = brute_force(known, asked)
    assert 5 < sum(expected) < len(asked) - 5
    assert near_duplicates(known, asked).tolist() == expected
    monkeypatch.setattr(near, "CHUNK_ROWS", 7)
    assert near_duplicates(known, asked).tolist() == expected


def test_the_same_as_brute_force_on_real_questions():
    def questions(path):
        source = Source(converter="mawps", licence="")
        return [normalised(made.question) for made in examples_of("m", source, [real(path)], False, Tally())]

    known, asked = questions("mawps/trainset.json"), questions("mawps/testset.json")
    found = near_duplicates(known, asked)
    assert found.tolist() == brute_force(known, asked) and found.sum() == 88
    assert sum(question in set(known) for question in asked) == 28


def test_nothing_to_compare():
    for known, asked in (([], []), (["a question"], []), ([], ["a question"]), (["a question"], ["a question"])):
        assert near_duplicates(known, asked).tolist() == [False] * len(asked)


def test_the_report_counts_them_and_the_rows_stay(tmp_path):
    long = "A farmer has {} hens and sells {} of them at the market in the old town. How many hens are left?"
    train = [{"question": f"{long.format(n, n // 2)} {'x' * n}", "answer": "1"} for n in range(20)]
    test = [{"question": long.format(3, 2), "answer": "1"}, {"question": "Something else?", "answer": "1"}]
    files = {
        "own_train": str(write_lines(tmp_path / "a.jsonl", train)),
        "own_test": str(write_lines(tmp_path / "b.jsonl", test)),
    }
    download_task("t", data_params(files=files, max_leakage=0.0), "none", tmp_path / "raw")
    split_task("t", data_params(files=files, max_leakage=0.0), tmp_path / "raw", tmp_path / "out")
    pairs = json.loads((tmp_path / "out" / "split.json").read_text())["leakage"]
    assert pairs["own_test in train"]["near_duplicates"] == 1 and pairs["own_test in train"]["leaked"] == 0
    assert pairs["validation in train"]["near_duplicates"] == 2
    assert parquet.read_metadata(tmp_path / "out" / "test" / "own_test.parquet").num_rows == 2
