"""Bases of each kind are decoded exactly or refused; benchmarks/architectures.py examines every architecture."""

import pytest
from transformers import XmodConfig

from benchmarks.architectures import examined
from ptmoe.base.geometry import meta_model
from ptmoe.base.support import check_supported
from ptmoe.runtime.errors import BaseModelError


@pytest.mark.parametrize(
    "model_type", ["bert", "opt", "bloom", "mpt", "falcon", "mixtral", "gemma3_text", "cohere2", "phi3"]
)
def test_attention_of_every_kind_is_exact(model_type):
    assert examined(model_type) == ("exact", "")


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("mamba", "it keeps a recurrent state"),
        ("falcon_h1", "it keeps a recurrent state"),
        ("qwen3_next", "it keeps a recurrent state"),
        ("deepseek_v32", "it has layers of kind indexed_attention"),
        ("bart", "it embeds positions, but its forward takes no position_ids"),
        ("cpmant", "its forward takes no inputs_embeds"),
        ("blt", "it cuts the text into patches by token ids, and a soft prompt has none"),
    ],
)
def test_other_memories_are_refused_before_training(model_type, reason):
    assert examined(model_type) == ("refused", reason)


def test_a_base_of_many_languages_needs_a_default_one():
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 9, "is_decoder": True}
    check_supported(meta_model(XmodConfig(**sizes, default_language="en_XX").to_dict()))
    with pytest.raises(BaseModelError, match=r"xmod.* is not supported: its config names no default_language"):
        check_supported(meta_model(XmodConfig(**sizes).to_dict()))
