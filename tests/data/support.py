"""Small tokenizers, made here, parameters and files for the tests of the data."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ptmoe.base.model import BaseInfo
from ptmoe.config.params import DataParams, TemplateParams

REAL = Path(__file__).parents[2].parent / "shared" / "data"
LLAMA_3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"]
CHATML = ["<|im_start|>", "<|im_end|>"]
CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = [
    "Context: The river Alder runs through the old town of Barton.\n\nQuestion: Which river runs through Barton?",
    "Extract the exact text span from the given context that directly answers the question.\n\nAnswer: Alder",
    'Solve the question and your response should end with "The answer is: [answer]". user assistant',
]
QA = TemplateParams(
    instruction="Extract the exact text span.",
    input="Context: {context}\n\nQuestion: {question}",
    cue="Answer:",
)


def real(name: str) -> Path:
    """A file of real records; skips where the folder is absent."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"no real records at {path}")
    return path


def tokenizer_of(
    special: list[str], template: str = "", bos: str | None = None, eos: str = ""
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that splits text like Llama 3 or GPT-2 do."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXTS * 3, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=bos, eos_token=eos or special[-1])
    made.chat_template = template or None
    return made


def write_base(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder as `prepare_base` writes it, without weights."""
    tokenizer.save_pretrained(folder)
    eos = tokenizer.eos_token_id
    info = BaseInfo("test", "local", "", "float32", "sdpa", False, eos, [eos], 0)
    (folder / "base.json").write_text(json.dumps(asdict(info)))
    return folder


def data_params(**changes) -> DataParams:
    """Parameters of a task whose sources are the user's own files, unless changed."""
    values = {
        "train": ["own_train"],
        "in_domain": ["own_test"],
        "out_of_domain": [],
        "files": {},
        "train_rows": 0,
        "validation_rows": 2,
        "test_rows": 0,
        "max_leakage": 100.0,
    }
    return DataParams(**(values | changes))


def write_lines(path: Path, records: list[dict]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path
