"""SMoP: short prompts, one of them chosen by the input, P = p_i P_i (Choi et al. 2023; jyjohnchoi/SMoP).

The released prompt_routing.py broadcasts wrongly with one prompt an input, so that each row gets the sum of all prompts
chosen in its batch; this follows the paper's formula.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptmoe.methods.base import PromptMethod, RoutedPrompts, Routing, SoftPrompt
from ptmoe.methods.budget import router_parameters
from ptmoe.methods.params import SmopParams
from ptmoe.methods.router import Router, expert_weights, linear_rule, masked_mean
from ptmoe.methods.svd import fit_length
from ptmoe.models.geometry import Geometry


class SparseMixtureOfPrompts(PromptMethod[SmopParams]):
    """N prompts [T / N, H], cut one after the other from the embeddings of the text, so they differ at the start."""

    size_key = "prompt_length"

    def __init__(self, params: SmopParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        length = params.prompt_length // params.num_experts
        self.prompts = nn.Parameter(torch.zeros(params.num_experts, length, geometry.hidden_size))
        # prompt_routing.py, l. 96-115: orthogonal weights, no bias.
        self.router = Router(
            geometry.hidden_size, params.num_experts, params.router_bias, params.router_noise, "orthogonal"
        )

    @classmethod
    def count(cls, params: SmopParams, geometry: Geometry) -> int:
        prompts = params.prompt_length * geometry.hidden_size
        return prompts + router_parameters(geometry.hidden_size, params.num_experts, params.router_bias)

    @property
    def prompt_length(self) -> int:
        return self.prompts.shape[1]

    def initialise(self, text_embeds: Tensor) -> None:
        self.prompts.data.copy_(fit_length(text_embeds, self.params.prompt_length).view_as(self.prompts))

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        gates = self.router(masked_mean(embeds, mask))
        weights = expert_weights(gates, selective=True, probationary=True)
        return SoftPrompt(torch.einsum("bn,nth->bth", weights, self.prompts), Routing.of(gates))

    def routed(self) -> RoutedPrompts:
        rule = linear_rule(self.router, selective=True, probationary=True)
        return RoutedPrompts(self.prompts, dict(self.router.linear.named_parameters()), rule)


METHOD = SparseMixtureOfPrompts
