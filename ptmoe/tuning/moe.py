"""Experts over one low-rank factor, chosen by a router: shared by PT-MoE and its variants."""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from pydantic import StrictBool
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count, NonNegative
from ptmoe.tuning.budget import router_parameters, solved_rank
from ptmoe.tuning.low_rank import DecomposedPromptParams, LowRankPrompt
from ptmoe.tuning.method import RoutedPrompts
from ptmoe.tuning.mixture import LearntRouterParams, PromptMixture, Start
from ptmoe.tuning.router import Router, expert_weights, linear_rule, masked_mean


class MoEParams(DecomposedPromptParams, LearntRouterParams):
    num_experts: Count
    selective: StrictBool
    probationary: StrictBool
    router_noise: NonNegative
    router_bias: StrictBool
    router_input: Literal["prompt", "question"]
    expert_init_noise: NonNegative


MoE = TypeVar("MoE", bound=MoEParams)


class LowRankMoE(LowRankPrompt[MoE], PromptMixture[MoE]):
    """N experts A_i [T, R] over one B [R, H]; the router reads the mean embedding x of the prompt text.

    w = softmax((W x + b) * (1 + noise)) * onehot(argmax): the chosen expert is scaled by its own gate. A is one
    parameter [N, T, R] and the choice a product with a one-hot vector, so no expert is ever without a gradient tensor.
    """

    def __init__(self, params: MoE, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        rank = self.rank(params, geometry)
        self.a = nn.Parameter(torch.zeros(params.num_experts, params.prompt_length, rank))
        self.b = nn.Parameter(torch.zeros(rank, geometry.hidden_size))
        self.router = Router(
            geometry.hidden_size, params.num_experts, params.router_bias, params.router_noise, params.router_init
        )

    @classmethod
    def rank(cls, params: MoE, geometry: Geometry) -> int:
        router = router_parameters(geometry.hidden_size, params.num_experts, params.router_bias)
        return solved_rank(params, geometry.hidden_size, params.num_experts, router)

    @property
    def num_experts(self) -> int:
        return self.params.num_experts

    @property
    def selective(self) -> bool:
        return self.params.selective

    @property
    def router_input(self) -> Literal["prompt", "question"]:
        return self.params.router_input

    def initialise(self, text_embeds: Tensor) -> None:
        a, b = self.factors_of(text_embeds)
        noise = self.params.expert_init_noise * torch.randn(self.a.shape)
        self.a.data.copy_(a + noise)
        self.b.data.copy_(b)

    def start_router(self, start: Start) -> None:
        self.router.start(start.learnt(start.rows, start.split(start.rows, self.num_experts), self.num_experts))

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.router(masked_mean(embeds, mask))
        return expert_weights(gates, self.params.selective, self.params.probationary), gates

    def mix(self, weights: Tensor) -> Tensor:
        return torch.einsum("bn,ntr->btr", weights, self.a) @ self.b

    def routed(self) -> RoutedPrompts:
        params, router = self.params, dict(self.router.linear.named_parameters())
        rule = linear_rule(self.router, params.selective, params.probationary, params.router_input)
        return RoutedPrompts(self.a @ self.b, router, rule)
