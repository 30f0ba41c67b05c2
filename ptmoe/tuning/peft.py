"""Any method of the peft library, from the keys of its config class in params.yaml."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ConfigDict, StrictStr
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry, meta_model
from ptmoe.config.faults import suggestion
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.method import Method, MethodParams, SoftPrompt
from ptmoe.tuning.prefix import PrefixSource, attach

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROMPT_ENCODERS = ("P_TUNING", "PREFIX_TUNING")
_SET_HERE = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "num_transformer_submodules", "peft_version",
    "revision", "runtime_config", "task_type", "token_dim", "num_attention_heads", "num_layers",
}  # fmt: skip
_READS_WEIGHTS = (
    "it starts from the base's weights, so that a block cannot be checked or counted before they are loaded"
)
_UNSUPPORTED = {
    "PROMPT_TUNING": "use the method pt, which is exact for padded rows",
    "ADALORA": "it needs calls of its own in the training loop",
    "ADAPTION_PROMPT": "it replaces attention layers of a few old models alone",
    "ADAMSS": _READS_WEIGHTS,
    "CARTRIDGE": "it starts from a text's own cache",
    "CPT": "it needs the types of all tokens of a text",
    "FROD": _READS_WEIGHTS,
    "LILY": "its router averages over the batch, so that a row's output depends on its neighbours",
    "MULTITASK_PROMPT_TUNING": "it needs a task id in every row, and two stages",
    "OSF": "it takes the base's own weights apart",
    "POLY": "it needs a task id in every row",
    "SHIRA": _READS_WEIGHTS,
    "SHADOW": "it is not a change of layers",
    "XLORA": "it mixes adapters that are already trained",
}


class PeftParams(MethodParams):
    """A configuration block of the peft library: `peft_type` and any key of that type's config class."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())
    peft_type: StrictStr


class PeftMethod(Method[PeftParams]):
    """A method of peft: its layers put into the base model, or its encoder making a prompt or a prefix."""

    schema = PeftParams

    def __init__(self, params: PeftParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.config = peft_config(params, geometry)
        self.encoder = _encoder(self.config)
        self._prefix = PrefixSource() if self.config.peft_type == "PREFIX_TUNING" else None

    @classmethod
    def check(cls, params: PeftParams, geometry: Geometry) -> None:
        config = peft_config(params, geometry)
        if _encoder(config) is None:
            _injected(meta_model(geometry.config), config)

    @property
    def prompt_length(self) -> int:
        return self.config.num_virtual_tokens if self.config.peft_type == "P_TUNING" else 0

    @property
    def changes_base(self) -> bool:
        return self.encoder is None or self._prefix is not None

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        if self._prefix is not None:
            attach(base, self._prefix)
        elif self.encoder is None:
            dtype = base.dtype
            _widen(_injected(base, self.config), dtype)
        return base

    def peft_layers(self) -> Any:
        return self.config if self.encoder is None else None

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        if self.encoder is None:
            return super().soft_prompt(embeds, mask)
        made = self.encoder(torch.arange(self.config.num_virtual_tokens, device=embeds.device).unsqueeze(0))
        if self._prefix is None:
            return SoftPrompt(made.expand(embeds.shape[0], -1, -1))
        length, heads = made.shape[1], self.config.num_attention_heads
        # [P, 2 L heads head_dim] -> [2 L, heads, P, head_dim], the order of peft's get_prompt.
        self._prefix.layers = made.view(length, 2 * self.config.num_layers, heads, -1).permute(1, 2, 0, 3)
        return super().soft_prompt(embeds, mask)


def peft_config(params: PeftParams, geometry: Geometry) -> Any:
    """Makes peft's config object from a block.

    Raises:
        ParamsError: the type is unknown or not supported, a key is unknown, or peft refuses a value.
    """
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

    known = sorted({kind.value for kind in PEFT_TYPE_TO_TUNER_MAPPING} - set(_UNSUPPORTED))
    if params.peft_type in _UNSUPPORTED:
        raise ParamsError(f"peft_type {params.peft_type} is not supported: {_UNSUPPORTED[params.peft_type]}")
    if params.peft_type not in known:
        raise ParamsError(f"peft_type: got {params.peft_type!r}; allowed: {', '.join(known)}")
    config_class = {kind.value: value for kind, value in PEFT_TYPE_TO_CONFIG_MAPPING.items()}[params.peft_type]
    allowed = {field.name for field in dataclasses.fields(config_class)} - _SET_HERE - {"peft_type"}
    keys = params.model_dump(exclude={"peft_type"})
    for key in keys:
        if key not in allowed:
            raise ParamsError(
                f"{key} is not a key of {config_class.__name__}; {suggestion(key, allowed)}allowed: "
                f"{', '.join(sorted(allowed))}"
            )
    if params.peft_type in PROMPT_ENCODERS:
        keys |= _prompt_sizes(params, geometry)
    with _refused_as_params_error(params.peft_type):
        return config_class(task_type="CAUSAL_LM", **keys)


def _prompt_sizes(params: PeftParams, geometry: Geometry) -> dict[str, int]:
    values = params.model_dump()
    length, limit = values.get("num_virtual_tokens"), geometry.max_positions
    if type(length) is not int or length < 1 or (limit is not None and length >= limit):
        raise ParamsError(f"num_virtual_tokens: got {length!r}; allowed: 1 up to the positions of the base ({limit})")
    if params.peft_type == "P_TUNING":
        sizes = {"token_dim": geometry.hidden_size, "num_attention_heads": geometry.num_heads}
    else:
        heads = geometry.num_kv_heads
        sizes = {"token_dim": heads * geometry.head_dim, "num_attention_heads": heads}
    width = values.get("encoder_hidden_size") or sizes["token_dim"]
    return {**sizes, "num_layers": geometry.num_layers, "num_transformer_submodules": 1, "encoder_hidden_size": width}


def _encoder(config: Any) -> nn.Module | None:
    from peft import PeftType
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    if config.peft_type not in PROMPT_ENCODERS:
        return None
    with _refused_as_params_error(str(config.peft_type)):
        encoder_class: Any = PEFT_TYPE_TO_TUNER_MAPPING[PeftType(config.peft_type)]
        return encoder_class(config)


def _injected(base: PreTrainedModel, config: Any) -> PreTrainedModel:
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    # A tuner fills in the defaults of the model's architecture: each gets a config of its own.
    own = dataclasses.replace(config)
    with _refused_as_params_error(str(config.peft_type)):
        PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type](base, own, "default")
    return base


def _widen(base: PreTrainedModel, dtype: torch.dtype) -> None:
    """Keeps trained tensors in float32; a 16-bit base computes peft's layers under autocast, as peft's users do."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for parameter in base.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if dtype == torch.float32:
        return
    for module in base.modules():
        if isinstance(module, BaseTunerLayer):
            module.forward = _autocast(module.forward, dtype)


def _autocast(forward: Callable[..., Tensor], dtype: torch.dtype) -> Callable[..., Tensor]:
    def run(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with torch.autocast(x.device.type, dtype=dtype):
            return forward(x, *args, **kwargs).to(dtype)

    return run


@contextlib.contextmanager
def _refused_as_params_error(kind: str) -> Any:
    """Turns peft's errors into one message, and hides its warnings about defaults."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise ParamsError(
            f"peft refuses this {kind.removeprefix('PeftType.')} block: {' '.join(str(error).split())}"
        ) from None
