"""Inputs that no command can use: each is one sentence and status 2, and nothing is written."""

import json
import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers  # noqa: F401  its log handler must not keep the stream of one test

from ptmoe.base.model import BaseInfo
from ptmoe.cli import main
from ptmoe.runtime.stopping import time_limit
from tests.methods.cases import trained
from tests.models.bases import tiny_base

SCORES = {"id": ["0", "1"], "dataset": ["A", "A"], "em": [0.0, 1.0], "f1": [0.0, 1.0]}
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
ROW = {"prediction": "a", "answers": ["a"]}
SCORED = {"id": "0", "em": 1.0, "f1": 1.0}
BIG = "1" * 5000


def lines(*rows):
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()


def refused(arguments, capsys):
    """Runs a command that must end with one sentence; returns it."""
    before = set(Path().rglob("*"))
    with time_limit(60), pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "rror: " in said and "Traceback" not in said
    assert set(Path().rglob("*")) == before
    assert len(said) < 1200
    return said


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD_LINES = {
    "list": lines([1]),
    "text": lines('"a"'),
    "null": lines("null"),
    "empty": b"",
    "garbled": b"\xff\xfe\x00",
    "cut": b'{"prediction": "a", "ans',
    "deep": b"[" * 100_000,
    "digits": lines(f'{{"prediction": {BIG}, "answers": ["a"], "em": {BIG}, "f1": 1, "question": {BIG}}}'),
    "surrogate": lines(r'{"prediction": "\ud800", "answers": ["a"], "id": "\ud800", "question": "\ud800"}'),
    "two": lines('{"prediction": "a", "answers": ["a"], "em": 1, "f1": 1} {"prediction": "a"}'),
    "long": lines({"prediction": "a" * 200_000, "answers": ["a"]}),
    "types": lines({"prediction": [1], "answers": {"a": 1}, "em": "1", "f1": None, "question": 3}),
}


@pytest.mark.parametrize("name", BAD_LINES)
@pytest.mark.parametrize("command", ["score", "compare"])
def test_lines_that_are_no_rows(command, name, here, capsys):
    Path("a.jsonl").write_bytes(BAD_LINES[name])
    Path("good.jsonl").write_bytes(lines(SCORED))
    arguments = ["score", "qa", "a.jsonl"] if command == "score" else ["compare", "a.jsonl", "good.jsonl"]
    refused(arguments, capsys)


@pytest.mark.parametrize(
    "rows",
    [
        [SCORED | {"em": math.nan}],
        [SCORED | {"f1": math.inf}],
        [SCORED | {"f1": 32.35}],
        [SCORED | {"f1": -0.1}],
        [SCORED | {"f1": True}],
        [SCORED, {"id": "1", "em": 1.0}],
        [SCORED, SCORED],
        [SCORED | {"id": [0]}],
        [SCORED | {"group": {"a": 1}}],
        [SCORED | {"metric": "none"}],
        [SCORED | {"metric": ["qa"]}],
    ],
)
def test_rows_that_are_no_scores(rows, here, capsys):
    Path("a.jsonl").write_bytes(lines(*rows))
    Path("good.jsonl").write_bytes(lines(SCORED, SCORED | {"id": "1"}))
    refused(["compare", "a.jsonl", "good.jsonl"], capsys)


@pytest.mark.parametrize(
    ("changes", "metric"),
    [
        ({"dataset": None}, "qa"),
        ({"id": None}, "qa"),
        ({"f1": None}, "qa"),
        ({"f1": ["a", "b"]}, "qa"),
        ({"f1": [1.0, 31.35]}, "qa"),
        ({"f1": [[1.0], [0.0]]}, "qa"),
        ({"f1": [None, 1.0]}, "qa"),
        ({"id": ["0", "0"]}, "qa"),
        ({"id": [None, "1"]}, "qa"),
        ({"dataset": [1, 2]}, "qa"),
        ({}, "none"),
        ({}, None),
        ({name: [] for name in SCORES}, "qa"),
    ],
)
def test_tables_that_are_no_scores(changes, metric, here, capsys):
    columns = {name: values for name, values in (SCORES | changes).items() if values is not None}
    for path, table, named in (("a.parquet", columns, metric), ("good.parquet", SCORES, "qa")):
        pq.write_table(pa.table(table).replace_schema_metadata({"metric": named} if named else None), path)
    refused(["compare", "a.parquet", "good.parquet"], capsys)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_table_that_is_none(content, here, capsys):
    Path("a.parquet").write_bytes(content)
    refused(["compare", "a.parquet", "a.parquet"], capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "qa", "nowhere.jsonl"],
        ["score", "qa", "."],
        ["score", "none", "good.jsonl"],
        ["score", "qa", "good.jsonl", "--rule", "none"],
        ["score", "qa", "good.jsonl", "--rows", "."],
        ["score", "qa", "good.jsonl", "--rows", "good.jsonl/a"],
        ["compare", "nowhere", "good.jsonl"],
        ["compare", ".", "good.jsonl"],
        ["budget", "--params", "0"],
        ["budget", "--params", "x"],
        ["budget", "--base", "nowhere.json"],
        ["predict", "--adapter", ".", "--input", "good.jsonl", "--output", "o.jsonl"],
        ["predict", "--adapter", "nowhere", "--input", "good.jsonl", "--output", "o.jsonl"],
        ["predict", "--adapter", "good.jsonl", "--input", "good.jsonl", "--output", "o.jsonl"],
        ["doctor", "--profile", "none"],
        ["ablate", "length", "-j", "-5"],
        ["ablate", "nowhere"],
        ["case", "-n", "-1"],
        ["search", "-j", "0"],
        ["search", "--grid", "nan"],
        ["search", "--grid", "1e999"],
        ["search", "--tasks", "none"],
        ["search", "--methods", "none"],
        ["sweep", "-j", "-1"],
        ["case", "--task", "none"],
    ],
)
def test_arguments_that_name_nothing(arguments, here, project_root, capsys):
    Path("good.jsonl").write_bytes(lines(ROW | SCORED))
    Path("params.yaml").write_bytes((project_root / "params.yaml").read_bytes())
    refused(arguments, capsys)


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, None, "8", [8], 10**9 * 1000, True])
def test_sizes_that_no_model_has(key, value, here, capsys):
    Path("config.json").write_text(json.dumps(CONFIG | {key: value}))
    refused(["budget", "--base", "config.json"], capsys)


@pytest.mark.parametrize("key", ["intermediate_size", "num_key_value_heads", "head_dim", "max_position_embeddings"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", [8]])
def test_other_sizes_that_no_model_has(key, value, here, capsys):
    Path("config.json").write_text(json.dumps(CONFIG | {key: value}))
    refused(["budget", "--base", "config.json"], capsys)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"model_type": 3}', '{"model_type": "none"}', '{"a": 1}'])
def test_a_config_that_is_none(text, here, capsys):
    Path("config.json").write_text(text)
    refused(["budget", "--base", "config.json"], capsys)


@pytest.mark.parametrize(
    "text", ["", "- 1", "a: [", "a: &b 1\nc: *b", "profile: x", "? [1]\n: 2", "a: " + "[" * 3000, "\x00", "1: 2\n"]
)
@pytest.mark.parametrize("command", [["doctor"], ["budget"], ["report"], ["case"]])
def test_params_that_are_none(text, command, here, capsys):
    Path("params.yaml").write_text(text)
    refused(command, capsys)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """An adapter with its base, which has no tokenizer: no command must get as far."""
    folder = tmp_path_factory.mktemp("adapter")
    tiny_base().save_pretrained(folder / "base")
    info = BaseInfo(str(folder / "base"), "local", "", "float32", "eager", False, 0, [2], 0)
    template = {"instruction": "", "input": "{question}", "cue": "A:"}
    trained("pt").save(folder / "adapter", info, {"template": template})
    return folder / "adapter"


@pytest.mark.parametrize("name", BAD_LINES)
def test_questions_that_are_none(name, adapter, here, capsys):
    Path("in.jsonl").write_bytes(BAD_LINES[name])
    refused(["predict", "--adapter", adapter, "--input", "in.jsonl", "--output", "out.jsonl"], capsys)


BAD_CONFIGS = [
    *({key: value} for key in ("method", "params", "base", "template") for value in (None, 3, [1], "x\0", {"a": 1})),
    *({"format": value} for value in (None, "1", 2, [1], {})),
    *({"base": {key: value}} for key in ("name", "dtype", "attention") for value in (None, 3, "no/no")),
    *({"base": {"revision": value}} for value in (None, 3)),
    *({"base": {"pad_token_id": value}} for value in (None, -1, 61, 1.5)),
    *({"base": {"eos_token_ids": value}} for value in (None, 2, [], [61], ["2"])),
]


@pytest.mark.parametrize("changes", BAD_CONFIGS)
def test_adapters_that_are_none(changes, adapter, here, monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copytree(adapter, "adapter")
    config = json.loads(Path("adapter/adapter_config.json").read_text())
    base = changes.get("base")
    if isinstance(base, dict) and "a" not in base:
        changes = {"base": config["base"] | base}
    Path("adapter/adapter_config.json").write_text(json.dumps(config | changes))
    Path("in.jsonl").write_bytes(lines({"question": "w5"}))
    said = refused(["predict", "--adapter", "adapter", "--input", "in.jsonl", "--output", "out.jsonl"], capsys)
    assert "tokenizer" not in said
