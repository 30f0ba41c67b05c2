"""Experts over low-rank factors, chosen by a router: shared by PT-MoE and its variants."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from pydantic import StrictBool
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import NonNegative
from ptmoe.tuning.budget import router_parameters
from ptmoe.tuning.low_rank import DecomposedPromptParams, LowRankPrompt, solved_rank
from ptmoe.tuning.mixture import LearntRouterParams, LinearlyRouted, MixtureParams, PromptMixture
from ptmoe.tuning.router import Router


class MoEParams(MixtureParams, DecomposedPromptParams, LearntRouterParams):
    selective: StrictBool
    probationary: StrictBool
    router_noise: NonNegative
    router_bias: StrictBool
    router_input: Literal["prompt", "question"]
    expert_init_noise: NonNegative


MoE = TypeVar("MoE", bound=MoEParams)


class LowRankExperts(LowRankPrompt[MoE], PromptMixture[MoE]):
    """N experts A_i [T, R], in order over one or more B [R, H].

    A is one parameter [N, T, R] and the choice a product with a one-hot vector, so no expert is ever without a gradient
    tensor.
    """

    schema = MoEParams

    def __init__(self, params: MoE, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        rank = self.rank(params, geometry)
        self.a = nn.Parameter(torch.zeros(params.num_experts, params.prompt_length, rank))
        self.b = nn.Parameter(torch.zeros(*self.factors(params), rank, geometry.hidden_size))

    @classmethod
    def factors(cls, params: MoE) -> tuple[int, ...]:
        """The number of B's; empty for one that all experts share."""
        return ()

    @classmethod
    def choices(cls, params: MoE) -> int:
        """The number of the routers' logits."""
        return params.num_experts

    @classmethod
    def rank(cls, params: MoE, geometry: Geometry) -> int:
        hidden = geometry.hidden_size
        router = router_parameters(hidden, cls.choices(params), params.router_bias)
        return solved_rank(params, hidden, params.num_experts, router, *cls.factors(params))

    def new_router(self, choices: int) -> Router:
        """Makes a router over some of the experts, or over groups of them."""
        params = self.params
        return Router(self.geometry.hidden_size, choices, params.router_bias, params.router_noise, params.router_init)

    def initialise(self, text_embeds: Tensor) -> None:
        a, b = self.factors_of(text_embeds)
        noise = self.params.expert_init_noise * torch.randn(self.a.shape)
        self.a.data.copy_(a + noise)
        self.b.data.copy_(b)


class LowRankMoE(LowRankExperts[MoE], LinearlyRouted[MoE]):
    """Experts over one B under one router, which reads the mean embedding x of the prompt text.

    w = softmax((W x + b) * (1 + noise)) * onehot(argmax): the chosen expert is scaled by its own gate.
    """

    def __init__(self, params: MoE, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.router = self.new_router(params.num_experts)

    @property
    def experts(self) -> Tensor:
        return self.a @ self.b

    def mix(self, weights: Tensor) -> Tensor:
        return torch.einsum("bn,ntr->btr", weights, self.a) @ self.b
