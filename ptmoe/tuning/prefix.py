"""Learned keys and values before those of the text, in every layer of any model that transformers' attention serves.

The prefix is joined inside the attention function, not through the cache, so that it holds for padded rows, sliding
windows, gradient checkpointing and every way of decoding alike. Text positions start at 0. With rotary positions that
equals peft's start at P up to a fixed rotation of the learned keys, which training absorbs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptmoe.runtime.errors import BaseModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OWNER = "prefix_source"
_SUPPORTED = ("eager", "sdpa")


class PrefixSource:
    """Hands keys and values to the layers; set before each forward pass.

    Attributes:
        layers: [2 L, heads, P, head_dim]: key and value of layer 0, of layer 1, ...
    """

    layers: Tensor


def attach(base: PreTrainedModel, source: PrefixSource) -> None:
    """Joins the prefix to every attention layer of a model.

    Raises:
        BaseModelError: the model's attention is not one that a prefix can be joined to.
    """
    kind = base.config._attn_implementation
    layers = [module for module in base.modules() if hasattr(module, "layer_idx") and hasattr(module, "scaling")]
    if kind not in _SUPPORTED or not layers:
        raise BaseModelError(f"prefix tuning works with attention {' or '.join(_SUPPORTED)}, got {kind}")
    _register()
    for layer in layers:
        # Past nn.Module's registration: the source belongs to the method, not to the base model.
        layer.__dict__[_OWNER] = source
    base.set_attn_implementation(f"ptmoe_prefix_{kind}")


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import eager_mask, sdpa_mask

    AttentionInterface.register("ptmoe_prefix_sdpa", _with_prefix(lambda _: sdpa_attention_forward))
    AttentionInterface.register("ptmoe_prefix_eager", _with_prefix(_own_eager_attention))
    AttentionMaskInterface.register("ptmoe_prefix_sdpa", _always(sdpa_mask))
    AttentionMaskInterface.register("ptmoe_prefix_eager", _always(eager_mask))


def _own_eager_attention(module: nn.Module) -> Callable[..., Any]:
    return sys.modules[type(module).__module__].eager_attention_forward


def _always(make_mask: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the mask even where a causal flag would do: with a prefix, keys and queries differ in number."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return make_mask(*args, **kwargs | {"allow_is_causal_skip": False})

    return make


def _with_prefix(attention_of: Callable[[nn.Module], Callable[..., Any]]) -> Callable[..., Any]:
    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        first_keys, first_values = module.__dict__[_OWNER].layers.unflatten(0, (-1, 2))[module.layer_idx]
        length = first_keys.shape[1]
        key = torch.cat([first_keys.to(key.dtype).expand(key.shape[0], -1, -1, -1), key], dim=2)
        value = torch.cat([first_values.to(value.dtype).expand(value.shape[0], -1, -1, -1), value], dim=2)
        if attention_mask is not None:
            seen = attention_mask.dtype == torch.bool
            attention_mask = F.pad(attention_mask, (length, 0), value=seen)
        return attention_of(module)(module, query, key, value, attention_mask, **kwargs)

    return attend
