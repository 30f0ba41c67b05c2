"""The paper's profile on a machine without its base and data: a small random Llama and a few rows stand for them."""

import json

import pyarrow.parquet as pq
import pytest
import torch

from tests.pipeline.conftest import clone

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"]


def reading_rows(dataset: str, count: int, first: int) -> str:
    """MRQA's raw form: a header, then a passage with its questions a line."""
    lines = [json.dumps({"header": {"dataset": dataset, "split": "x"}})]
    for number in range(first, first + count):
        answer = f"{WORDS[number % 8]} {number}"
        context = f"Passage {number} of {dataset} says that the tree is {answer} and nothing else."
        question = {
            "qid": f"{number:032x}",
            "question": f"What is tree {number} of {dataset}?",
            "answers": [answer],
            "detected_answers": [{"text": answer, "char_spans": [[0, 1]], "token_spans": [[0, 0]]}],
        }
        lines.append(json.dumps({"context": context, "qas": [question]}))
    return "\n".join(lines) + "\n"


def raw_files(folder):
    """One small file for each source of the profile, each in the form that its owner publishes."""
    metamath = [
        {
            "type": "GSM_AnsAug",
            "query": f"Ann has {n} cups and buys 2. How many?",
            "original_question": f"Ann has {n} cups and buys 2. How many?",
            "response": f"{n} + 2 = {n + 2}\n#### {n + 2}\nThe answer is: {n + 2}",
        }
        for n in range(40)
    ]
    svamp = [
        {"ID": f"c{n}", "Body": f"Bo had {n} pens.", "Question": "How many?", "Answer": float(n), "Type": kind}
        for n, kind in enumerate(["Subtraction", "Addition", "Common-Division", "Multiplication"])
    ]
    gsm8k = [{"question": f"Cy ran {n} miles. How far?", "answer": f"He ran.\n#### {n}"} for n in range(3)]
    mawps = [{"question": f"Di ate {n} figs. How many?", "answer": f"#### {n}.5"} for n in range(3)]
    asdiv = [
        {"text": f"Question: Ed has {n} caps. How many? Answer:", "label": str(n), "target": str(n)} for n in (1, 2)
    ]
    math = [
        {"problem": f"Compute ${n}^2$.", "level": "1", "type": "Algebra", "solution": rf"\boxed{{{n * n}}}"}
        for n in range(3)
    ]
    texts = {
        "mrqa_train": reading_rows("SQuAD", 40, 0),
        "mrqa_in_domain": reading_rows("SQuAD", 3, 100),
        "mrqa_out_of_domain": reading_rows("DROP", 3, 200),
        "metamath": json.dumps(metamath),
        "svamp": json.dumps(svamp),
        **{
            name: "".join(json.dumps(row) + "\n" for row in rows)
            for name, rows in {"gsm8k": gsm8k, "mawps": mawps, "asdiv": asdiv, "math_problems": math}.items()
        },
    }
    endings = {"metamath": "json", "svamp": "json"}
    files = {}
    for name, text in texts.items():
        files[name] = folder / f"{name}.{endings.get(name, 'jsonl')}"
        files[name].write_text(text)
    return files


@pytest.fixture(scope="module")
def paper_run(project_root, tmp_path_factory):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("paper")
    tokenizer = AutoTokenizer.from_pretrained(project_root / "ptmoe/tiny_base")
    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|eot_id|>"),
            bos_token_id=tokenizer.bos_token_id,
            tie_word_embeddings=True,
        )
    )
    base.to(torch.bfloat16).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    project = clone(project_root, folder / "ptmoe")
    (project.root / "dvc.lock").unlink(missing_ok=True)
    project.set(profile="paper", methods="[ptmoe]")
    project.set(**{"profiles.paper.base.name": str(folder / "base"), "profiles.paper.base.revision": "local"})
    for name, path in raw_files(folder).items():
        task = "qa" if name.startswith("mrqa") else "math"
        project.set(**{f"+profiles.paper.data.{task}.files.{name}": str(path)})
    for task in ("qa", "math"):
        project.set(**{f"profiles.paper.data.{task}.validation_rows": "4", f"profiles.paper.batch_size.{task}": "8"})
        project.set(**{f"profiles.paper.max_new_tokens.{task}": "4"})
    project.set(
        **{
            "profiles.paper.steps.ptmoe": "2",
            "profiles.paper.train.eval_steps": "1",
            "profiles.paper.train.save_steps": "1",
        }
    )
    project.commit("paper")
    project.dvc("repro")
    return project


def test_every_dataset_of_the_paper_gets_a_score(paper_run):
    datasets = {
        task: set(pq.read_table(paper_run.root / f"scores/{task}/ptmoe-0.parquet")["dataset"].to_pylist())
        for task in ("qa", "math")
    }
    assert datasets["qa"] == {"SQuAD", "DROP"}
    svamp = {f"SVAMP/{kind}" for kind in ("Subtraction", "Addition", "Division", "Multiplication")}
    assert datasets["math"] == {"GSM8K", "ASDIV", "MAWPS", "MP500", *svamp}


def test_the_adapter_is_float32_on_a_bfloat16_base(paper_run):
    from safetensors.torch import load_file

    folder = paper_run.root / "models/qa-ptmoe-0"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base"]["dtype"] == "bfloat16"
    assert {tensor.dtype for tensor in load_file(folder / "adapter_model.safetensors").values()} == {torch.float32}
