"""The base model that ships with the project: its files load, and it can do what tuning has to find."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

FOLDER = Path(__file__).parents[2] / "ptmoe" / "tiny_base"
LARGEST_FILE = 16_000_000
TEXTS = [
    "",
    " ",
    "\n\n\n  two  spaces \t and a tab ",
    "Größe, naïve café, 東京の天気, Привет, مرحبا, 👩‍👩‍👧 \u200b end",
    "1 22 333 4444 55555 3.14 -7 1,234,567",
    "it's don't we'll I'VE",
    "\x00\x07 control characters \ufeff",
    "Answer: 12 + 5 = 17. The answer is: 17",
]
ASKS_FOR_SHORT = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nRead the passage and answer the question."
    " Reply with a few words only.\n\nPassage: {passage}\n\nQuestion: {question}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nAnswer:"
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval()


def greedy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    encoded = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        ids = model.generate(**encoded, max_new_tokens=40, do_sample=False)
    return tokenizer.decode(ids[0, encoded["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def test_is_a_small_llama(model: LlamaForCausalLM) -> None:
    assert isinstance(model, LlamaForCausalLM)
    assert 400_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 1_000_000
    assert model.config.tie_word_embeddings and model.config.max_position_embeddings >= 512
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_files_are_few_and_small() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert (FOLDER / "model.safetensors").stat().st_size <= LARGEST_FILE
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    with safe_open(FOLDER / "model.safetensors", "pt") as weights:
        assert "model.embed_tokens.weight" in weights.keys()  # noqa: SIM118, the file is no mapping


def test_special_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    vocabulary = tokenizer.get_vocab()
    ends = [vocabulary["<|eot_id|>"], vocabulary["<|end_of_text|>"]]
    assert model.config.eos_token_id == model.generation_config.eos_token_id == ends
    assert model.config.bos_token_id == tokenizer.bos_token_id == vocabulary["<|begin_of_text|>"]
    assert model.config.pad_token_id == tokenizer.pad_token_id == vocabulary["<|pad|>"]
    assert tokenizer.eos_token == "<|eot_id|>"
    assert len(tokenizer) == model.config.vocab_size == json.loads((FOLDER / "config.json").read_text())["vocab_size"]


def test_bos_only_when_special_tokens_are_wanted(tokenizer: PreTrainedTokenizerBase) -> None:
    plain = tokenizer("Hello", add_special_tokens=False)["input_ids"]
    assert tokenizer.bos_token_id not in plain
    assert tokenizer("Hello")["input_ids"] == [tokenizer.bos_token_id, *plain]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


@pytest.mark.parametrize("number", [2, 7, 10, 25, 44])
def test_small_numbers_are_one_token(tokenizer: PreTrainedTokenizerBase, number: int) -> None:
    assert len(tokenizer(f" {number}", add_special_tokens=False)["input_ids"]) == 1


def test_chat_template_is_the_llama_3_layout(tokenizer: PreTrainedTokenizerBase) -> None:
    chat = [{"role": "user", "content": "Hi"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_answers_briefly_when_asked_to(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    passage = "Leo lives in Arden. Mara lives in Salton. Leo works as a baker. Mara works as a nurse."
    prompt = ASKS_FOR_SHORT.format(passage=passage, question="Where does Leo live?")
    assert greedy(model, tokenizer, prompt) == "Arden"
