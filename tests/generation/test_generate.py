import json

import pyarrow.parquet as pq
import pytest

from ptmoe.generation.decode import Decoder
from ptmoe.runtime.errors import AdapterError, BaseModelError, DataError
from ptmoe.training.checkpoint import checkpoint_root
from tests.rows import list_rows, write_rows
from tests.training.world import random_rows

COLUMNS = ["id", "dataset", "prediction", "answers", "expert", "expert_probability"]
COLUMNS += ["new_tokens", "finished", "by_expert"]


@pytest.fixture
def trained(world):
    world.train("ptmoe")
    return world


def stop_after(monkeypatch, count):
    """Ends decoding after some answers, without a chance to tidy up."""
    decode = Decoder.decode

    def decode_some(self, rows, lengths):
        for number, answer in enumerate(decode(self, rows, lengths)):
            if number == count:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(Decoder, "decode", decode_some)
    return lambda: monkeypatch.setattr(Decoder, "decode", decode)


def test_predictions_hold_a_row_an_example_in_order(trained):
    table = pq.read_table(trained.answer("ptmoe"))
    assert table.column_names == COLUMNS
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [f"A{n}" for n in range(9)] + [f"B/x{n}" for n in range(5)]
    assert {row["dataset"] for row in rows} == {"A", "B/x"}
    for row in rows:
        assert row["expert"] in (0, 1) and 0.5 <= row["expert_probability"] <= 1
        assert 1 <= row["new_tokens"] <= 6
        assert row["finished"] or row["new_tokens"] == 6
        assert len(row["prediction"].split()) == row["new_tokens"] - row["finished"]
        assert row["prediction"] == row["prediction"].strip() and "</s>" not in row["prediction"]


def test_a_method_without_a_router_names_no_expert(world):
    world.train("untuned")
    rows = pq.read_table(world.answer("untuned")).to_pylist()
    assert {(row["expert"], row["expert_probability"]) for row in rows} == {(None, None)}


def test_each_expert_answers_in_place_of_the_choice(trained):
    free = pq.read_table(trained.answer("ptmoe")).to_pylist()
    assert all(row["by_expert"] is None for row in free)
    file = trained.answer("ptmoe", forced_experts=True)
    forced = pq.read_table(file).to_pylist()
    for row, plain in zip(forced, free, strict=True):
        assert row | {"by_expert": None} == plain
        assert len(row["by_expert"]) == 2 and row["by_expert"][row["expert"]] == row["prediction"]
    assert any(len(set(row["by_expert"])) == 2 for row in forced)
    one = file.read_bytes()
    assert trained.answer("ptmoe", forced_experts=True, devices=2).read_bytes() == one
    assert not list(checkpoint_root().glob("*-generate-*"))


def test_a_method_without_experts_has_none_to_force(world):
    world.train("pt")
    rows = pq.read_table(world.answer("pt", forced_experts=True)).to_pylist()
    assert [row["by_expert"] for row in rows] == [None] * 14


def test_the_same_bytes_at_every_run_and_every_batch_size(trained):
    first = trained.answer("ptmoe").read_bytes()
    assert trained.answer("ptmoe").read_bytes() == first
    assert trained.answer("ptmoe", budget=1).read_bytes() == first
    assert trained.answer("ptmoe", budget=10_000).read_bytes() == first


def test_an_interrupted_run_goes_on_at_the_first_missing_row(trained, monkeypatch, capsys):
    whole = trained.answer("ptmoe").read_bytes()
    (trained.root / "out" / "qa-ptmoe-0.parquet").unlink()
    restore = stop_after(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        trained.answer("ptmoe")
    assert not (trained.root / "out" / "qa-ptmoe-0.parquet").exists()
    (lines,) = checkpoint_root().glob("*/0.jsonl")
    lines.write_text(lines.read_text()[:-4])  # the last line is cut short
    restore()
    assert trained.answer("ptmoe").read_bytes() == whole
    assert "continuing after 4 of 14 answers" in capsys.readouterr().out
    assert not list(checkpoint_root().glob("*-generate-*"))


def test_answers_of_another_adapter_are_not_taken(trained, monkeypatch, capsys):
    stop = stop_after(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        trained.answer("ptmoe")
    stop()
    trained.train("ptmoe", steps=2, keep="last")
    trained.answer("ptmoe")
    assert "continuing" not in capsys.readouterr().out


def test_two_processes_write_what_one_writes(trained, capfd):
    one = trained.answer("ptmoe").read_bytes()
    assert trained.answer("ptmoe", devices=2).read_bytes() == one
    costs = json.loads((trained.root / ".costs" / "qa-ptmoe-0.generate.json").read_text())
    assert costs["processes"] == 2 and costs["rows"] == 14


def test_no_test_rows_at_all_is_a_clear_error(trained, tmp_path):
    trained.encoded = tmp_path / "none"
    (trained.encoded / "test").mkdir(parents=True)
    list_rows(trained.encoded)
    with pytest.raises(DataError, match="no rows to answer"):
        trained.answer("ptmoe")


def test_a_data_set_without_rows_is_left_out(trained, tmp_path):
    trained.encoded = tmp_path / "encoded"
    write_rows(trained.encoded / "test" / "A.arrow", random_rows(3, 3, with_targets=False))
    write_rows(trained.encoded / "test" / "B.arrow", [])
    list_rows(trained.encoded)
    assert [row["id"] for row in pq.read_table(trained.answer("ptmoe")).to_pylist()] == ["A0", "A1", "A2"]


def test_a_prompt_beyond_the_positions_is_a_clear_error(trained, tmp_path):
    trained.encoded = tmp_path / "encoded"
    long = random_rows(60, 3, with_targets=False)
    for row in long:
        object.__setattr__(row, "input_ids", row.input_ids.repeat(5))
        object.__setattr__(row, "prompt_length", len(row.input_ids))
    write_rows(trained.encoded / "test" / "A.arrow", long)
    list_rows(trained.encoded)
    with pytest.raises(BaseModelError, match=r"4 of soft prompt and 6 of answer exceed the 128 positions"):
        trained.answer("ptmoe")


def test_a_missing_adapter_is_a_clear_error(world):
    with pytest.raises(AdapterError):
        world.answer("pt")
