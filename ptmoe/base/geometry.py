"""The sizes of a base model, read from its config alone; imports torch only for families without a closed form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ptmoe.runtime.errors import BaseModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Config = dict[str, Any]
"""A linear layer of one block: path, inputs, outputs, whether it has a bias."""
Projection = tuple[str, int, int, bool]


@dataclass(frozen=True)
class Linear:
    """A linear layer: its path in the model and its sizes."""

    path: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Geometry:
    """The sizes that parameter counts and checks need.

    Attributes:
        parameters: weights of the whole model, tied ones once.
        max_positions: the longest sequence; None where the model has no such limit.
        linears: every linear layer, the output head included.
        config: the config that all of this was read from.
    """

    model_type: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    max_positions: int | None
    parameters: int
    linears: tuple[Linear, ...] = field(repr=False)
    config: Config = field(repr=False, compare=False)

    @classmethod
    def from_config(cls, source: Config | str | Path) -> Geometry:
        """Reads a config dict, a config.json, or the config.json of a folder.

        Raises:
            BaseModelError: there is no such file, or it does not describe a known causal language model.
        """
        config = source if isinstance(source, dict) else _read(Path(source))
        model_type = config.get("model_type")
        if not model_type:
            raise BaseModelError("the config has no model_type; give the config.json of a Hugging Face model")
        if model_type not in _FAMILIES:
            return cls.from_model(meta_model(config))
        try:
            return _closed_form(config, *_FAMILIES[model_type](config))
        except KeyError as error:
            raise BaseModelError(
                f"the {model_type} config lacks {error.args[0]}; give a complete config.json"
            ) from None

    @classmethod
    def from_model(cls, model: PreTrainedModel) -> Geometry:
        """Measures a model in memory, which may lie on the meta device."""
        from torch import nn
        from transformers.pytorch_utils import Conv1D

        linears = []
        for path, module in model.named_modules():
            if isinstance(module, nn.Linear):
                linears.append(Linear(path, module.in_features, module.out_features))
            elif isinstance(module, Conv1D):
                linears.append(Linear(path, module.nx, module.nf))
        vocab, hidden = cast(nn.Embedding, model.get_input_embeddings()).weight.shape
        config = model.config.get_text_config()
        heads = int(getattr(config, "num_attention_heads", 1))
        return cls(
            model_type=model.config.model_type,
            hidden_size=hidden,
            num_layers=int(getattr(config, "num_hidden_layers", 0)),
            num_heads=heads,
            num_kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
            head_dim=int(getattr(config, "head_dim", None) or hidden // heads),
            vocab_size=vocab,
            max_positions=getattr(config, "max_position_embeddings", None),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            linears=tuple(linears),
            config=model.config.to_dict(),
        )

    def matching(self, names: Iterable[str]) -> list[Linear]:
        """Returns the linear layers whose path is one of `names` or ends with it (peft's rule for `target_modules`)."""
        ends = tuple(f".{name}" for name in names)
        return [linear for linear in self.linears if f".{linear.path}".endswith(ends)]


def _read(path: Path) -> Config:
    path = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaseModelError(f"{path} is missing; give a model folder or its config.json") from None
    except ValueError:
        raise BaseModelError(f"{path} is not JSON; give a model folder or its config.json") from None
    if not isinstance(config, dict):
        raise BaseModelError(f"{path} holds no mapping; give a model folder or its config.json")
    return config


def meta_model(config: Config) -> PreTrainedModel:
    """Builds a model without storage from its config.

    Raises:
        BaseModelError: the config is not that of a causal language model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        typed = AutoConfig.for_model(**config)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(typed)
    except (ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise BaseModelError(
            f"{config['model_type']} is not a causal language model that this reads: {reason}"
        ) from None


@dataclass(frozen=True)
class _Block:
    """One transformer layer of a family with a closed form."""

    prefix: str
    projections: list[Projection]
    other: int
    """Parameters of norms."""


@dataclass(frozen=True)
class _Frame:
    """What surrounds the layers."""

    head: str
    other: int
    """Parameters of final norm and position table."""
    tied: bool


def _closed_form(config: Config, block: _Block, frame: _Frame) -> Geometry:
    hidden, layers = _first(config, "hidden_size", "n_embd"), _first(config, "num_hidden_layers", "n_layer")
    heads, vocab = _first(config, "num_attention_heads", "n_head"), config["vocab_size"]
    linears = [
        Linear(f"{block.prefix}.{layer}.{path}", inputs, outputs)
        for layer in range(layers)
        for path, inputs, outputs, _ in block.projections
    ]
    per_layer = block.other + sum(i * o + o * bias for _, i, o, bias in block.projections)
    return Geometry(
        model_type=config["model_type"],
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or hidden // heads,
        vocab_size=vocab,
        max_positions=config.get("max_position_embeddings") or config.get("n_positions"),
        parameters=vocab * hidden * (1 if frame.tied else 2) + layers * per_layer + frame.other,
        linears=(*linears, Linear(frame.head, hidden, vocab)),
        config=config,
    )


def _first(config: Config, *names: str) -> int:
    for name in names:
        if name in config:
            return config[name]
    raise KeyError(names[0])


def _llama_like(
    qkv_bias: bool = False, head_norms: bool = False, norms: int = 2, tied: bool = False
) -> Callable[[Config], tuple[_Block, _Frame]]:
    """The family of RMS-normed, gated, grouped-query decoders.

    Args:
        qkv_bias: query, key and value always have a bias.
        head_norms: queries and keys are normed per head.
        norms: norms a layer.
        tied: whether input and output embedding are one table where the config does not say.
    """

    def read(config: Config) -> tuple[_Block, _Frame]:
        hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
        head_dim = config.get("head_dim") or hidden // heads
        width, kv_width = heads * head_dim, (config.get("num_key_value_heads") or heads) * head_dim
        bias, mlp_bias = bool(config.get("attention_bias")), bool(config.get("mlp_bias"))
        projections = [
            ("self_attn.q_proj", hidden, width, bias or qkv_bias),
            ("self_attn.k_proj", hidden, kv_width, bias or qkv_bias),
            ("self_attn.v_proj", hidden, kv_width, bias or qkv_bias),
            ("self_attn.o_proj", width, hidden, bias),
            ("mlp.gate_proj", hidden, inner, mlp_bias),
            ("mlp.up_proj", hidden, inner, mlp_bias),
            ("mlp.down_proj", inner, hidden, mlp_bias),
        ]
        block = _Block("model.layers", projections, norms * hidden + 2 * head_dim * head_norms)
        return block, _Frame("lm_head", hidden, bool(config.get("tie_word_embeddings", tied)))

    return read


def _gpt2(config: Config) -> tuple[_Block, _Frame]:
    hidden = config["n_embd"]
    inner = config.get("n_inner") or 4 * hidden
    projections = [
        ("attn.c_attn", hidden, 3 * hidden, True),
        ("attn.c_proj", hidden, hidden, True),
        ("mlp.c_fc", hidden, inner, True),
        ("mlp.c_proj", inner, hidden, True),
    ]
    frame = _Frame("lm_head", 2 * hidden + config["n_positions"] * hidden, config.get("tie_word_embeddings", True))
    return _Block("transformer.h", projections, 4 * hidden), frame


def _gpt_neox(config: Config) -> tuple[_Block, _Frame]:
    hidden, inner, bias = config["hidden_size"], config["intermediate_size"], config.get("attention_bias", True)
    projections = [
        ("attention.query_key_value", hidden, 3 * hidden, bias),
        ("attention.dense", hidden, hidden, bias),
        ("mlp.dense_h_to_4h", hidden, inner, True),
        ("mlp.dense_4h_to_h", inner, hidden, True),
    ]
    frame = _Frame("lm_head", 2 * hidden, config.get("tie_word_embeddings", False))
    return _Block("gpt_neox.layers", projections, 4 * hidden), frame


_FAMILIES: dict[str, Callable[[Config], tuple[_Block, _Frame]]] = {
    "llama": _llama_like(),
    "mistral": _llama_like(),
    "qwen2": _llama_like(qkv_bias=True),
    "qwen3": _llama_like(head_norms=True),
    "gemma": _llama_like(tied=True),
    "gemma2": _llama_like(norms=4, tied=True),
    "gemma3_text": _llama_like(norms=4, head_norms=True, tied=True),
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
}
