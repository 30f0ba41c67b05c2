"""LoRA: y = W x + (alpha / r) B A x, through the peft library (Hu et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from pydantic import Field, StrictStr

from ptmoe.config.fields import Count, Positive

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

from ptmoe.base.geometry import Geometry
from ptmoe.tuning.layers import check_targets
from ptmoe.tuning.method import Method, MethodParams


class LoraParams(MethodParams):
    rank: Count
    alpha: Positive
    target_modules: Annotated[list[StrictStr], Field(min_length=1)]


class Lora(Method[LoraParams]):
    """Updates the named linear layers; A starts from Kaiming's uniform distribution, B from zero."""

    schema = LoraParams
    size_key = "rank"

    @classmethod
    def check(cls, params: LoraParams, geometry: Geometry) -> None:
        check_targets(params.target_modules, params.rank, geometry)

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        from peft import inject_adapter_in_model

        inject_adapter_in_model(self.peft_layers(), base)
        for parameter in base.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        return base

    def peft_layers(self) -> LoraConfig:
        from peft import LoraConfig

        params = self.params
        # GPT-2 keeps its weights transposed.
        transposed = self.geometry.model_type == "gpt2"
        return LoraConfig(
            r=params.rank,
            lora_alpha=cast(int, params.alpha),
            target_modules=params.target_modules,
            fan_in_fan_out=transposed,
            task_type="CAUSAL_LM",
        )


METHOD = Lora
