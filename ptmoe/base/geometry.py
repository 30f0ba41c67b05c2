"""The sizes of a base model, measured on a model without storage that transformers builds from the config."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ptmoe.base.gguf import SUFFIX, gguf_config
from ptmoe.base.support import check_supported
from ptmoe.runtime.errors import BaseModelError, first_line
from ptmoe.runtime.imports import lasting_imports
from ptmoe.runtime.strict_json import parse_json

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Config = dict[str, Any]
# transformers fills in sizes that a config lacks, with those of another model; and builds layers one by one.
_LARGEST = {"hidden_size": 1 << 20, "num_hidden_layers": 1 << 12, "num_attention_heads": 1 << 16, "vocab_size": 1 << 26}
# Not every architecture has these.
_LARGEST_IF_GIVEN = {"intermediate_size": 1 << 24, "max_position_embeddings": 1 << 32}


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
        """Measures what a config dict, a config.json or a folder with one describes; raises `BaseModelError`."""
        return cls.from_model(meta_model(source if isinstance(source, dict) else read_config(Path(source))))

    @classmethod
    def from_model(cls, model: PreTrainedModel) -> Geometry:
        """Measures a model in memory, which may be on the meta device; raises as `check_supported`."""
        from torch import nn
        from transformers.pytorch_utils import Conv1D

        check_supported(model)
        linears = []
        for path, module in model.named_modules():
            if isinstance(module, nn.Linear):
                linears.append(Linear(path, module.in_features, module.out_features))
            elif isinstance(module, Conv1D):
                linears.append(Linear(path, module.nx, module.nf))
        vocab, hidden = cast(nn.Embedding, model.get_input_embeddings()).weight.shape
        config = model.config.get_text_config().per_layer_config[0]
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


@lasting_imports()
def meta_model(config: Config) -> PreTrainedModel:
    """Builds a model without storage; raises `BaseModelError` where the config describes none, or lacks a size."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type = config.get("model_type")
    if not model_type:
        raise BaseModelError("the config has no model_type; give the config.json of a Hugging Face model")
    try:
        typed = AutoConfig.for_model(**config)
        _check_sizes(config, typed)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(typed)
    except BaseModelError:
        raise
    except Exception as error:  # each architecture checks its config in its own way
        raise BaseModelError(
            f"{model_type!r:.40} is not a causal language model that this reads: {first_line(error):.200}"
        ) from None


def _check_sizes(config: Config, typed: PreTrainedConfig) -> None:
    if typed.get_text_config() is not typed:
        return
    for name, largest in (_LARGEST | _LARGEST_IF_GIVEN).items():
        if not hasattr(typed, name):
            continue
        key = name if name in config else typed.attribute_map.get(name, name)
        value = config.get(key)
        if name in _LARGEST_IF_GIVEN and value is None:
            continue
        if type(value) is not int or not 1 <= value <= largest:
            got = f"has {key} {value!r}" if key in config else f"lacks {key}"
            raise BaseModelError(
                f"the {typed.model_type} config {got}; allowed: a whole number from 1 to {largest}; "
                f"give a complete config.json"
            )


def read_config(path: Path) -> Config:
    """Reads a config.json, or that of a folder or a GGUF file; raises `BaseModelError` where there is none."""
    if path.suffix == SUFFIX and path.is_file():
        return gguf_config(path)
    path = path / "config.json" if path.is_dir() else path
    try:
        config = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise BaseModelError(f"{path} is missing; give a model folder or its config.json") from None
    except ValueError:
        raise BaseModelError(f"{path} is not JSON; give a model folder or its config.json") from None
    if not isinstance(config, dict):
        raise BaseModelError(f"{path} is not a mapping; give a model folder or its config.json")
    return config
