"""The tokenizers of three kinds of base, and a base folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from tests.data.support import CHATML, CHATML_TEMPLATE, LLAMA_3, tokenizer_of, write_base


@pytest.fixture(scope="session")
def llama3() -> PreTrainedTokenizerFast:
    return tokenizer_of(LLAMA_3, bos="<|begin_of_text|>", eos="<|eot_id|>")


@pytest.fixture(scope="session")
def chatml() -> PreTrainedTokenizerFast:
    return tokenizer_of(CHATML, CHATML_TEMPLATE, eos="<|im_end|>")


@pytest.fixture(scope="session")
def plain() -> PreTrainedTokenizerFast:
    return tokenizer_of(["</s>"])


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory: pytest.TempPathFactory, llama3: PreTrainedTokenizerFast) -> Path:
    return write_base(tmp_path_factory.mktemp("base"), llama3)
