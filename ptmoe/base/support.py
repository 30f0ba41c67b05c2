"""Which base models can be decoded exactly: those whose only memory of the text is keys and values."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from ptmoe.runtime.errors import BaseModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# A cache layer of these kinds holds a key and a value a token, to which masks and positions apply.
_KINDS = {"full_attention", "sliding_attention", "chunked_attention"}
# Those that benchmarks/architectures.py found wrong, though nothing in class or config tells it.
_ALIKE = "its answers in a batch are not those of each row alone"
_WRONG = {
    "blt": "it cuts the text into patches by token ids, and a soft prompt has none",
    "git": _ALIKE,
    "moshi": _ALIKE,
}
_NEEDED = ("inputs_embeds", "attention_mask", "past_key_values")


def check_supported(model: PreTrainedModel) -> None:
    """Raises `BaseModelError` unless rows of several lengths can be answered together exactly as each alone.

    A recurrent state or a convolution has no mask, so padding would change it, and rows could not join a batch; told
    from what the model's class and config say of its cache. The model may be on the meta device.
    """
    if reason := _hindrance(model):
        raise BaseModelError(
            f"{type(model).__name__} (model_type {model.config.model_type}) is not supported: {reason}; supported: "
            f"causal language models whose every layer is full, sliding-window or chunked attention "
            f"(docs/architectures.md)"
        )


def _hindrance(model: PreTrainedModel) -> str:
    from torch import nn
    from transformers.cache_utils import get_layer_types_and_kwargs

    config = model.config.get_text_config(decoder=True)
    if model._is_stateful:
        return "it keeps a recurrent state"
    if reason := _WRONG.get(model.config.model_type):
        return reason
    if model.config.is_encoder_decoder:
        return "it has an encoder"
    if getattr(config, "hidden_size_per_layer_input", 0):
        return "it embeds the token ids once more for every layer, and a soft prompt has none"
    taken = inspect.signature(model.forward).parameters
    if missing := [name for name in _NEEDED if name not in taken]:
        return f"its forward takes no {' and no '.join(missing)}"
    embeddings = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
    if "position_ids" not in taken and any("pos" in name for name in embeddings):
        return "it embeds positions, but its forward takes no position_ids"
    if getattr(config, "default_language", "") is None:
        return "its config names no default_language"
    others = sorted(set(get_layer_types_and_kwargs(config)[0]) - _KINDS)
    return f"it has layers of kind {', '.join(others)}" if others else ""
