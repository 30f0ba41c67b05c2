"""HydraLoRA: y = W x + (alpha / r) sum_i softmax(W_r x)_i B_i A x (Tian et al. 2024; Clin0212/HydraLoRA, lora.py)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from pydantic import StrictBool
from torch import Tensor, nn

from ptmoe.base.geometry import Linear
from ptmoe.config.fields import Count, NonNegative, Positive
from ptmoe.tuning.layers import LayerMethod, LayerParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class HydraLinear(nn.Module):
    """A frozen linear layer with one A [r, in] and a dense mixture of N matrices B_i [out, r], routed token by token.

    The mixture is one product: the gated copies of A x, side by side, times the B_i, side by side ([out, N r]).
    """

    def __init__(self, frozen: nn.Module, sizes: Linear, params: HydraLoraParams) -> None:
        super().__init__()
        self.frozen = frozen
        self.scale, self.temperature = params.alpha / params.rank, params.router_temperature
        self.a = nn.Parameter(torch.empty(params.rank, sizes.inputs))
        self.b = nn.Parameter(torch.zeros(sizes.outputs, params.num_experts * params.rank))
        self.router = nn.Linear(sizes.inputs, params.num_experts, bias=params.router_bias, dtype=torch.float32)
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., in] to [..., out]; gates and update in float32."""
        y = self.frozen(x)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            gates = (self.router(x) / self.temperature).softmax(dim=-1)
            shared = x @ self.a.T
            update = (gates.unsqueeze(-1) * shared.unsqueeze(-2)).flatten(-2) @ self.b.T
        return y + (self.scale * update).to(y.dtype)


class HydraLoraParams(LayerParams):
    num_experts: Count
    router_bias: StrictBool
    router_learning_rate: NonNegative
    router_temperature: Positive


class HydraLora(LayerMethod[HydraLoraParams]):
    """Replaces the named linear layers; A and router start from Kaiming's uniform distribution, B from zero."""

    schema = HydraLoraParams

    def is_router(self, parameter: str) -> bool:
        return ".router." in parameter

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        for sizes in self.geometry.matching(self.params.target_modules):
            frozen = base.get_submodule(sizes.path)
            base.set_submodule(sizes.path, HydraLinear(frozen, sizes, self.params).to(base.device))
        return base


METHOD = HydraLora
