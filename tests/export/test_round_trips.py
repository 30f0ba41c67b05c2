"""Tuned on the tiny base, exported, and loaded by other programs: the same greedy answers to fifty questions."""

import gzip
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ptmoe.base.model import prepare_base, read_base_info
from ptmoe.cli import main
from ptmoe.config.params import BaseParams, Params
from ptmoe.encoding.encoder import PromptEncoder, Statistics
from ptmoe.examples.example import Example
from ptmoe.rows.batches import collate
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.methods.cases import params_for

BASE = "ptmoe/tiny_base"
FOLDER = Path(__file__).parents[2] / BASE
NEW_TOKENS = 16


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    with gzip.open(FOLDER.parent / "sources" / "mini" / "qa" / "longer.jsonl.gz", "rt") as file:
        path.write_text("".join(islice(file, 50)))
    return path


@pytest.fixture(scope="module")
def task():
    return Params.load(FOLDER.parents[1] / "params.yaml").task("qa")


@pytest.fixture(scope="module")
def template(task):
    return task.template


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    prepare_base(
        BaseParams(name=BASE, revision="local", dtype="float32", attention="sdpa", trust_remote_code=False), folder
    )
    return read_base_info(folder)


@pytest.fixture(scope="module")
def encoded(questions, template, info):
    lines = [json.loads(line) for line in questions.read_text().splitlines()]
    examples = [Example(e["id"], "", e["question"], e["context"], e["answers"], e["target"], "") for e in lines]
    encoder = PromptEncoder(AutoTokenizer.from_pretrained(FOLDER), template, 400, info.eos_token_ids)
    return {targets: encoder.encode(examples, targets, Statistics()) for targets in (True, False)}


@pytest.fixture
def tuned(encoded, task, info, tmp_path):
    """Makes an adapter of a method by two large steps, so that its answers are its own."""

    def tune(method):
        torch.manual_seed(0)
        base, tokenizer = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)
        model = PromptedLM.create(base, method, params_for(method), task.init_text, tokenizer)
        rate = {"ft": 1e-3, "vera": 0.5}.get(method, 0.02)
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate)
        for step in range(2):
            batch = collate(encoded[True][8 * step : 8 * step + 8], info.pad_token_id)
            loss = model(batch.input_ids, batch.attention_mask, batch.labels)
            (loss.loss_sum / loss.num_tokens).backward()
            optimiser.step()
            optimiser.zero_grad()
        folder = tmp_path / method
        model.save(folder, info, {"template": task.template.model_dump()})
        return folder

    return tune


def predicted(adapter, questions, tmp_path):
    out = tmp_path / "answers.jsonl"
    files = ["--adapter", str(adapter), "--input", str(questions), "--output", str(out)]
    main(["predict", *files, "--max-new-tokens", str(NEW_TOKENS)])
    return [json.loads(line) for line in out.read_text().splitlines()]


def generated(model, rows, info):
    """Greedy answers of any model of transformers or peft, one question at a time."""
    tokenizer, texts = AutoTokenizer.from_pretrained(FOLDER), []
    for row in rows:
        ids = torch.tensor(row.input_ids, dtype=torch.long)[None]
        with torch.no_grad():
            tokens = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                eos_token_id=info.eos_token_ids,
                pad_token_id=info.pad_token_id,
            )
        texts.append(tokenizer.decode(tokens[0, ids.shape[1] :], skip_special_tokens=True).strip())
    return texts


def export(adapter, to, out, *options):
    assert main(["export", "--adapter", str(adapter), "--to", to, "--output", str(out), *options]) == 0


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "ln_tuning", "vera", "ft"])
def test_transformers_answers_as_the_adapter_with_merged_weights(method, tuned, questions, encoded, info, tmp_path):
    adapter = tuned(method)
    expected = [row["prediction"] for row in predicted(adapter, questions, tmp_path)]
    export(adapter, "merged", tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert generated(model, encoded[False], info) == expected
    plain = AutoModelForCausalLM.from_pretrained(FOLDER).eval()
    assert generated(plain, encoded[False][:10], info) != expected[:10]
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template
    export(adapter, "merged", tmp_path / "merged")  # an earlier export is replaced


@pytest.mark.parametrize("method", ["pt", "lora", "dora"])
def test_peft_answers_as_the_adapter(method, tuned, questions, encoded, info, tmp_path):
    adapter = tuned(method)
    expected = [row["prediction"] for row in predicted(adapter, questions, tmp_path)]
    export(adapter, "peft", tmp_path / "peft")
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(FOLDER), tmp_path / "peft").eval()
    assert generated(model, encoded[False], info) == expected


@pytest.mark.parametrize("method", ["ptmoe", "attempt", "pt", "dept", "p_tuning"])
def test_the_script_for_vllm_answers_as_the_adapter(method, tuned, questions, tmp_path):
    adapter = tuned(method)
    expected = predicted(adapter, questions, tmp_path)
    export(adapter, "vllm", tmp_path / "vllm", "--input", str(questions), "--max-new-tokens", str(NEW_TOKENS))
    script = tmp_path / "vllm" / "answer_with_vllm.py"
    environment = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    keys = ("id", "prediction", "expert", "finished")
    assert [[row[key] for key in keys] for row in found] == [[row[key] for key in keys] for row in expected]


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("hydralora", ["--to", "merged"], "hydralora is no fixed change of the base's weights"),
        ("ptmoe", ["--to", "merged"], "use --to embeds or --to vllm"),
        ("p_tuning_v2", ["--to", "merged"], "p_tuning_v2 is no fixed change"),
        ("untuned", ["--to", "merged"], "untuned is no fixed change"),
        ("lora", ["--to", "vllm", "--input", "QUESTIONS"], "changes the base's weights, which embeddings cannot hold"),
        ("ptmoe", ["--to", "vllm"], "writes the questions of --input"),
        ("ptmoe", ["--to", "embeds", "--input", "QUESTIONS"], "the other forms take none"),
        ("ptmoe", ["--to", "vllm", "--input", "nowhere.jsonl"], "nowhere.jsonl is missing"),
    ],
)
def test_what_has_no_such_form_is_one_message(
    method, options, words, tuned, questions, info, template, tmp_path, capsys
):
    if method == "untuned":
        model = PromptedLM.create(AutoModelForCausalLM.from_pretrained(FOLDER), method, {})
        model.save(tmp_path / method, info, {"template": template.model_dump()})
    else:
        tuned(method)
    options = [str(questions) if option == "QUESTIONS" else option for option in options]
    with pytest.raises(SystemExit) as stop:
        main(["export", "--adapter", str(tmp_path / method), *options, "--output", str(tmp_path / "out")])
    assert stop.value.code == 2 and words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
