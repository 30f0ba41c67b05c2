"""SMoP: short prompts, one of them chosen by the input, P = p_i P_i (Choi et al. 2023; jyjohnchoi/SMoP).

The released prompt_routing.py broadcasts wrongly with one prompt an input, so that each row gets the sum of all prompts
chosen in its batch; this follows the paper's formula.
"""

from __future__ import annotations

from torch import Tensor

from ptmoe.methods.base import RoutedPrompts
from ptmoe.methods.budget import router_parameters
from ptmoe.methods.mixture import ChunkedMixture
from ptmoe.methods.params import SmopParams
from ptmoe.methods.router import Router, expert_weights, linear_rule, masked_mean
from ptmoe.models.geometry import Geometry


class SparseMixtureOfPrompts(ChunkedMixture[SmopParams]):
    """The prompt with the highest gate, scaled by it."""

    def __init__(self, params: SmopParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        # prompt_routing.py, l. 96-115: orthogonal weights, no bias.
        self.router = Router(
            geometry.hidden_size, params.num_experts, params.router_bias, params.router_noise, "orthogonal"
        )

    @classmethod
    def count(cls, params: SmopParams, geometry: Geometry) -> int:
        prompts = params.prompt_length * geometry.hidden_size
        return prompts + router_parameters(geometry.hidden_size, params.num_experts, params.router_bias)

    @property
    def selective(self) -> bool:
        return True

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.router(masked_mean(embeds, mask))
        return expert_weights(gates, selective=True, probationary=True), gates

    def routed(self) -> RoutedPrompts:
        rule = linear_rule(self.router, selective=True, probationary=True)
        return RoutedPrompts(self.prompts, dict(self.router.linear.named_parameters()), rule)


METHOD = SparseMixtureOfPrompts
