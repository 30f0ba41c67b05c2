"""Tiny random causal language models, one of each architecture that matters."""

from __future__ import annotations

import functools
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

VOCABULARY = 61
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.4,
}
_NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _COMMON),
    "llama_tied": ("Llama", _COMMON | {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", _COMMON | {"sliding_window": 6}),
    "qwen2": ("Qwen2", _COMMON),
    "qwen3": ("Qwen3", _COMMON | {"head_dim": 8}),
    "gemma2": ("Gemma2", _COMMON | {"head_dim": 8, "sliding_window": 6, "final_logit_softcapping": 3.0}),
    "gemma3_text": ("Gemma3", _COMMON | {"head_dim": 8, "sliding_window": 6, "final_logit_softcapping": 3.0}),
    "gpt_neox": ("GPTNeoX", {key: value for key, value in _COMMON.items() if key != "num_key_value_heads"}),
    "gpt2": (
        "GPT2",
        {"vocab_size": VOCABULARY, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 128, "pad_token_id": 0}
        | {"bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.4},
    ),
    # Scaled logits, and no closed form in geometry.py.
    "granite": ("Granite", _COMMON | {"logits_scaling": 4.0, "embedding_multiplier": 2.0}),
}
NAMES = list(_NAMES)


def config_of(name: str) -> transformers.PreTrainedConfig:
    prefix, sizes = _NAMES[name]
    config_class = getattr(transformers, f"{prefix}TextConfig" if prefix == "Gemma3" else f"{prefix}Config")
    return config_class(**sizes)


@functools.cache
def _weights(name: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return _blank(name).state_dict()


def _blank(name: str) -> PreTrainedModel:
    prefix = _NAMES[name][0]
    model_class = getattr(transformers, f"{prefix}LMHeadModel" if prefix == "GPT2" else f"{prefix}ForCausalLM")
    config = config_of(name)
    config._attn_implementation = "eager"
    return model_class(config)


def tiny_base(name: str = "llama") -> PreTrainedModel:
    """Returns a fresh model with the same weights at every call, in eval mode."""
    model = _blank(name)
    model.load_state_dict(_weights(name))
    return model.eval()
