"""ATTEMPT: prompts mixed by attention, P = sum_j a_j P_j (Asai et al. 2022; AkariAsai/ATTEMPT, modeling_t5.py).

In one stage, as table 9 of the paper has it: all prompts start from the text and are trained, none comes from another
task, and there is no further target prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count, NonNegative, Positive
from ptmoe.tuning.method import RoutedPrompts
from ptmoe.tuning.mixture import ChunkedMixture, ChunkedPromptParams


def masked_max(embeds: Tensor, mask: Tensor) -> Tensor:
    """Max-pools embeddings [B, T, H] where mask [B, T] is true, in float32; zero for a row without any."""
    pooled = embeds.float().masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(dim=1)
    return torch.where(mask.any(dim=1, keepdim=True), pooled, 0.0)


class AttemptParams(ChunkedPromptParams):
    projection_dim: Count
    temperature: Positive
    router_learning_rate: NonNegative
    balance_loss: NonNegative


class AttentionalMixture(ChunkedMixture[AttemptParams]):
    """a = softmax(k_j . q / temperature), q = LayerNorm(W_up SiLU(W_down x)), x and k_j max-pooled over tokens.

    No bias in W_down and W_up, and the affine part of the norm is trained: the only reading that gives the paper's 90k.
    """

    schema = AttemptParams

    def __init__(self, params: AttemptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        hidden = geometry.hidden_size
        self.down = nn.Linear(hidden, params.projection_dim, bias=False, dtype=torch.float32)
        self.up = nn.Linear(params.projection_dim, hidden, bias=False, dtype=torch.float32)
        self.norm = nn.LayerNorm(hidden, dtype=torch.float32)

    @property
    def selective(self) -> bool:
        return False

    def is_router(self, parameter: str) -> bool:
        return parameter != "prompts"

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        query = self.norm(self.up(F.silu(self.down(masked_max(embeds, mask)))))
        scores = query @ self.prompts.amax(dim=1).T / self.params.temperature
        gates = scores.softmax(dim=-1)
        return gates, gates

    def routed(self) -> RoutedPrompts:
        router = {"down": self.down.weight, "up": self.up.weight, "scale": self.norm.weight, "shift": self.norm.bias}
        rule = (
            "x = maximum over the input embeddings of the prompt's tokens; keys = maximum of each expert over its "
            f"positions; q = layer norm (eps {self.norm.eps}, scale, shift) of up silu(down x); "
            f"weights = softmax(keys q / {self.params.temperature}); prompt = sum of weight times expert"
        )
        return RoutedPrompts(self.experts, router, rule)


METHOD = AttentionalMixture
