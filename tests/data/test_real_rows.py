"""Real SQuAD and GSM8K rows from their files to token ids of the tiny base."""

from __future__ import annotations

import json

import pytest

from ptmoe.base.model import load_tokenizer, prepare_base
from ptmoe.config.params import Params
from ptmoe.encoding.task import encode_task
from ptmoe.examples.download import download_task
from ptmoe.rows.encoded import EncodedSet
from ptmoe.splitting.split import split_task
from tests.data.support import data_params, real

SQUAD = "mrqa/squad-train-seed-42-num-examples"


@pytest.fixture(scope="module")
def tiny(project_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    params = Params.load(project_root / "params.yaml").grid.profiles["mini"].base
    prepare_base(params.model_copy(update={"name": str(project_root / params.name)}), folder)
    return folder


def run(task, data, tmp_path, tiny, project_root):
    """The three stages; returns split.json, encode.json and the folder of token ids."""
    raw, split, encoded = tmp_path / "raw", tmp_path / "split", tmp_path / "encoded"
    download_task(task, data, "none", raw)
    split_task(task, data, raw, split)
    template = Params.load(project_root / "params.yaml").task(task).template
    encode_task(task, template, 512, split, tiny, encoded)
    return json.loads((split / "split.json").read_text()), json.loads((encoded / "encode.json").read_text()), encoded


def test_squad(tmp_path, tiny, project_root):
    files = {"mrqa_train": str(real(f"{SQUAD}-1024_qass.jsonl")), "mrqa_in_domain": str(real(f"{SQUAD}-64.jsonl"))}
    data = data_params(train=["mrqa_train"], in_domain=["mrqa_in_domain"], files=files, validation_rows=50)
    split, report, encoded = run("qa", data, tmp_path, tiny, project_root)
    # Both samples were drawn from SQuAD's training set, so they share rows, and these must be found.
    assert split["leakage"]["SQuAD in train"]["leaked"] > 0
    assert split["leakage"]["validation in train"]["context"] == 0
    assert report["template"]["kind"] == "llama3" and report["train"]["rows"] == split["sizes"]["train"]
    tokenizer = load_tokenizer(tiny)
    for row in EncodedSet(encoded / "train.arrow")[:50]:
        text = tokenizer.decode(row.input_ids)
        assert text.count("<|eot_id|>") == 2 and text.endswith("<|eot_id|>") and len(row.input_ids) <= 512
        question = tokenizer.decode(row.input_ids[row.question_start : row.question_end]).strip()
        assert f"Question: {question}<|eot_id|>" in text
        assert row.answers[0] in tokenizer.decode(row.input_ids[row.prompt_length :])


def test_gsm8k_shares_no_question_between_training_and_test(tmp_path, tiny, project_root):
    files = {"gsm8k_train": str(real("gsm8k/train.jsonl")), "gsm8k": str(real("gsm8k/test.jsonl"))}
    data = data_params(
        train=["gsm8k_train"], in_domain=["gsm8k"], files=files, validation_rows=100, train_rows=300, max_leakage=0.0
    )
    split, report, encoded = run("math", data, tmp_path, tiny, project_root)
    assert split["sources"]["gsm8k_train"]["rows"] == {"GSM8K": 7473}
    assert split["leakage"]["GSM8K in train"]["leaked"] == 0 and split["leakage"]["GSM8K in train"]["rows"] == 1319
    assert len(EncodedSet(encoded / "test" / "GSM8K.arrow")) == 1319 == report["test/GSM8K"]["rows"]
