import io
import itertools
import json

import pytest

from ptmoe.cli import main
from ptmoe.generation.decode import Decoder


@pytest.fixture
def adapter(world):
    world.train("ptmoe")
    path = world.root / "out" / "qa-ptmoe-0" / "adapter_config.json"
    template = {"instruction": "w3 w4", "input": "w9 {context} w10 {question}", "cue": "w11"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"template": template}))
    return path.parent


def predict(adapter, lines, *options):
    source, out = adapter.parent / "in.jsonl", adapter.parent / "answers.jsonl"
    source.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    files = ["--adapter", str(adapter), "--input", str(source), "--output", str(out)]
    main(["predict", *files, "--max-new-tokens", "5", *options])
    return [json.loads(line) for line in out.read_text().splitlines()]


QUESTIONS = [{"question": f"w{n} w{n + 1}", "context": "w20 " * (n % 5)} for n in range(5, 17)]


def test_a_line_an_answer_in_order_with_the_expert(adapter, capsys):
    rows = predict(adapter, QUESTIONS)
    assert [row["id"] for row in rows] == [str(n) for n in range(12)]
    for row in rows:
        assert row["expert"] in (0, 1) and 0.5 <= row["expert_probability"] <= 1
        assert len(row["prediction"].split()) <= row["new_tokens"] <= 5
    assert "12 answers, expert" in capsys.readouterr().out


def test_the_batch_does_not_change_an_answer(adapter):
    together = predict(adapter, QUESTIONS)
    assert predict(adapter, QUESTIONS, "--max-batch-tokens", "1") == together
    alone = predict(adapter, [QUESTIONS[7] | {"id": "7"}])
    assert alone == [together[7]]


def test_a_run_that_is_broken_off_goes_on_where_it_was(adapter, monkeypatch, capsys):
    whole = predict(adapter, QUESTIONS)
    decode = Decoder.decode

    def decode_some(self, rows, lengths):
        yield from itertools.islice(decode(self, rows, lengths), 5)
        raise KeyboardInterrupt

    monkeypatch.setattr(Decoder, "decode", decode_some)
    (adapter.parent / "answers.jsonl").unlink()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        predict(adapter, QUESTIONS)
    assert not (adapter.parent / "answers.jsonl").exists()
    monkeypatch.setattr(Decoder, "decode", decode)
    assert predict(adapter, QUESTIONS) == whole
    assert "continuing after 5 of 12 answers" in capsys.readouterr().out
    assert {path.name for path in adapter.parent.iterdir() if "generate" in path.name} == set()


def test_answers_that_come_with_a_question_are_copied_for_scoring(adapter):
    rows = predict(
        adapter, [{"question": "w5", "answers": ["w6"]}, {"question": "w5", "answer": 8}, {"question": "w5"}]
    )
    assert [row.get("answers") for row in rows] == [["w6"], ["8"], None]


def test_lines_pass_through_a_pipe(adapter, monkeypatch, capsys):
    expected = predict(adapter, QUESTIONS)
    capsys.readouterr()
    piped = io.TextIOWrapper(io.BytesIO("".join(f"{json.dumps(line)}\n" for line in QUESTIONS).encode()))
    monkeypatch.setattr("sys.stdin", piped)
    main(["predict", "--adapter", str(adapter), "--input", "-", "--max-new-tokens", "5"])
    said = capsys.readouterr()
    assert [json.loads(line) for line in said.out.splitlines()] == expected
    assert "12 answers" in said.err


def test_one_question(adapter, capsys):
    (row,) = predict(adapter, [{"question": "w5 w6", "context": "w20"}])
    capsys.readouterr()
    asked = ["--question", "w5 w6", "--context", "w20", "--max-new-tokens", "5"]
    main(["predict", "--adapter", str(adapter), *asked])
    gate = f"(expert {row['expert']}, gate {row['expert_probability']:.2f})"
    assert capsys.readouterr().out == f"{row['prediction']}  {gate}\n"


def test_several_adapters_in_one_pass(adapter, world, capsys):
    world.train("lora")
    other = world.root / "out" / "qa-lora-0"
    path = other / "adapter_config.json"
    template = json.loads((adapter / "adapter_config.json").read_text())["template"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"template": template}))
    alone = {"qa-ptmoe-0": predict(adapter, QUESTIONS), "other": predict(other, QUESTIONS)}
    rows = predict(adapter, QUESTIONS, "--adapter", f"other={other}")
    assert [row["adapter"] for row in rows] == ["qa-ptmoe-0", "other"] * 12
    for name, lines in alone.items():
        assert [row for row in rows if row["adapter"] == name] == [line | {"adapter": name} for line in lines]


def test_a_context_belongs_to_a_question(adapter, capsys):
    assert "--context belongs to --question" in fails(capsys, adapter, [{"question": "w5"}], "--context", "w5")


def test_the_base_may_lie_elsewhere(adapter, world, tmp_path):
    expected = predict(adapter, QUESTIONS[:2])
    moved = tmp_path / "moved"
    moved.symlink_to(world.inputs / "weights")
    assert predict(adapter, QUESTIONS[:2], "--base", str(moved)) == expected


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as status:
        predict(*arguments)
    assert status.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "in.jsonl, line 2: invalid JSON"),
        ({"context": "w5"}, "in.jsonl, line 2: the key 'question' is missing"),
        ({"question": " "}, "in.jsonl, line 2: 'question' is empty"),
        ({"question": "w5", "questoin": "w5"}, "in.jsonl, line 2: unknown key 'questoin'"),
    ],
)
def test_a_bad_line_is_named(adapter, capsys, line, message):
    assert message in fails(capsys, adapter, [{"question": "w5"}, line])


def test_a_question_beyond_the_positions(adapter, capsys):
    assert "exceed the 128 positions" in fails(capsys, adapter, [{"question": "w5 " * 200}])


def test_an_adapter_without_a_template(adapter, capsys):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"template": {}}))
    assert "holds no usable template" in fails(capsys, adapter, [{"question": "w5"}])


def test_code_of_a_base_runs_only_where_the_user_says_so(adapter, capsys):
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base": config["base"] | {"trust_remote_code": True}}))
    assert "--trust-remote-code" in fails(capsys, adapter, [{"question": "w5"}])


def test_another_base_is_refused(adapter, world, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    for path in (world.inputs / "weights").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rope_theta": 77.0}))
    message = fails(capsys, adapter, [{"question": "w5"}], "--base", str(other))
    assert f"but this base is {other} (local, fingerprint " in message


def test_a_missing_input_file(adapter, capsys):
    with pytest.raises(SystemExit) as status:
        main(["predict", "--adapter", str(adapter), "--input", "none.jsonl", "--output", "out.jsonl"])
    assert status.value.code == 2
    assert "none.jsonl is missing" in capsys.readouterr().err
