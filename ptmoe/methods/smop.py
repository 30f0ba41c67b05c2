"""SMoP: short prompts, one of them chosen by the input, P = p_i P_i (Choi et al. 2023; jyjohnchoi/SMoP).

The released prompt_routing.py broadcasts wrongly with one prompt per input: each row gets the sum of all prompts chosen
in its batch. This follows the paper's formula.
"""

from __future__ import annotations

from pydantic import StrictBool

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import NonNegative
from ptmoe.tuning.mixture import ChunkedMixture, ChunkedPromptParams, LearntRouterParams, LinearlyRouted
from ptmoe.tuning.router import Router


class SmopParams(ChunkedPromptParams, LearntRouterParams):
    router_noise: NonNegative
    router_bias: StrictBool


class SparseMixtureOfPrompts(ChunkedMixture[SmopParams], LinearlyRouted[SmopParams]):
    """The prompt with the highest gate, scaled by it."""

    schema = SmopParams

    def __init__(self, params: SmopParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.router = Router(
            geometry.hidden_size, params.num_experts, params.router_bias, params.router_noise, params.router_init
        )


METHOD = SparseMixtureOfPrompts
