"""Bases of each kind are decoded exactly or refused; benchmarks/architectures.py examines every architecture."""

import pytest

from benchmarks.architectures import examined


@pytest.mark.parametrize("model_type", ["opt", "bloom", "mpt", "falcon", "mixtral", "gemma3_text", "cohere2", "phi3"])
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
    ],
)
def test_other_memories_are_refused_before_training(model_type, reason):
    assert examined(model_type) == ("refused", reason)
