"""LoRA: y = W x + (alpha / r) B A x, through the peft library (Hu et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

from ptmoe.tuning.layers import LayerMethod, LayerParams


class Lora(LayerMethod[LayerParams]):
    """Updates the named linear layers; A starts from Kaiming's uniform distribution, B from zero."""

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        from peft import inject_adapter_in_model

        inject_adapter_in_model(self.peft_layers(), base)
        for parameter in base.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        return base

    def peft_layers(self) -> LoraConfig:
        from peft import LoraConfig

        return LoraConfig(
            r=self.params.rank,
            lora_alpha=cast(int, self.params.alpha),
            target_modules=self.params.target_modules,
            fan_in_fan_out=self.geometry.model_type == "gpt2",  # which keeps its weights transposed
            task_type="CAUSAL_LM",
        )


METHOD = Lora
