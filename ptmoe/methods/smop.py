"""SMoP: short prompts, one of them chosen by the input, P = p_i P_i (Choi et al. 2023; jyjohnchoi/SMoP).

The released prompt_routing.py broadcasts wrongly with one prompt per input: each row gets the sum of all prompts chosen
in its batch. This follows the paper's formula.
"""

from __future__ import annotations

from pydantic import StrictBool
from torch import Tensor

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import NonNegative
from ptmoe.tuning.method import RoutedPrompts
from ptmoe.tuning.mixture import ChunkedMixture, ChunkedPromptParams, LearntRouterParams, Start
from ptmoe.tuning.router import Router, expert_weights, linear_rule, masked_mean


class SmopParams(ChunkedPromptParams, LearntRouterParams):
    router_noise: NonNegative
    router_bias: StrictBool


class SparseMixtureOfPrompts(ChunkedMixture[SmopParams]):
    """The prompt with the highest gate, scaled by it."""

    schema = SmopParams

    def __init__(self, params: SmopParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.router = Router(
            geometry.hidden_size, params.num_experts, params.router_bias, params.router_noise, params.router_init
        )

    @property
    def selective(self) -> bool:
        return True

    def start_router(self, start: Start) -> None:
        self.router.start(start.learnt(start.rows, start.split(start.rows, self.num_experts), self.num_experts))

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.router(masked_mean(embeds, mask))
        return expert_weights(gates, selective=True, probationary=True), gates

    def routed(self) -> RoutedPrompts:
        rule = linear_rule(self.router, selective=True, probationary=True)
        return RoutedPrompts(self.prompts, dict(self.router.linear.named_parameters()), rule)


METHOD = SparseMixtureOfPrompts
