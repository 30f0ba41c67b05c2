import json

import pytest

from ptmoe.cli import main


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "predictions.jsonl"
    lines = [
        '{"id": 7, "group": "p", "prediction": "The Cat", "answers": ["dog", "cat"]}',
        '{"prediction": null, "answers": ["x"]}',
    ]
    path.write_text(
        "\n".join([*lines, '{"prediction": NaN, "answers": ["x"]}', '{"prediction": 3, "answers": [3]}', ""])
    )
    return path


def test_prints_percent(file, capsys):
    assert main(["score", "qa", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["em                50.00 %", "f1                50.00 %"]


def test_json_and_rows(file, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    assert main(["score", "qa", str(file), "--json", "--rows", str(out)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"em": 50.0, "f1": 50.0, "examples": 4, "missing": 2, "rule": "mrqa"}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows == [
        {"id": 7, "group": "p", "em": 1, "f1": 1},
        {"em": 0, "f1": 0},
        {"em": 0, "f1": 0},
        {"em": 1, "f1": 1},
    ]


def test_rule_changes_math(tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    path.write_text('{"prediction": "The answer is: 1,234,567", "answers": ["1234567"]}\n')
    shown = {}
    for rule in ("numeric", "metamath"):
        main(["score", "math", str(path), "--rule", rule, "--json"])
        shown[rule] = json.loads(capsys.readouterr().out)["accuracy"]
    assert shown == {"numeric": 100.0, "metamath": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no prediction"),
        ('{"prediction": "x", "answers": ["y"]}\n{"prediction"\n', "line 2: not valid JSON"),
        ('{"answers": ["y"]}', "line 1: needs"),
        ('{"prediction": "x", "answers": []}', "line 1: answers must be"),
        ('{"prediction": "x", "answers": "y"}', "line 1: answers must be"),
        ('{"prediction": ["x"], "answers": ["y"]}', "line 1: prediction must be"),
        ("[1]", "line 1: needs"),
    ],
)
def test_a_bad_line_is_one_message_with_status_2(tmp_path, capsys, text, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["score", "qa", str(path)])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_file_and_wrong_rule(tmp_path, file, capsys):
    for arguments in (["score", "qa", str(tmp_path / "none")], ["score", "qa", str(file), "--rule", "metamath"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "allowed: mrqa" in capsys.readouterr().err
