"""Mixtures of prompts: a router weighs the experts, and the prompt is the weighted sum of theirs."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar, get_args

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count, NonNegative
from ptmoe.tuning.method import MethodParams, PromptMethod, PromptParams, RoutedPrompts, Routing, SoftPrompt
from ptmoe.tuning.router import Affine, LearntStart, PlainStart, Router, alone, expert_weights, linear_rule, masked_mean
from ptmoe.tuning.svd import fit_length


class MixtureParams(PromptParams):
    num_experts: Count


class ChunkedPromptParams(MixtureParams):
    """Several prompts that share the virtual tokens evenly."""

    @model_validator(mode="after")
    def _experts_divide_the_prompt(self) -> Self:
        if self.prompt_length % self.num_experts:
            raise ValueError(
                f"num_experts {self.num_experts} does not divide prompt_length {self.prompt_length}; "
                f"each expert needs the same number of virtual tokens"
            )
        return self


class LearntRouterParams(MethodParams):
    """How a router is initialised and trained; in the paper it starts at random and learns like the prompts."""

    router_init: PlainStart | LearntStart
    router_learning_rate: NonNegative
    router_refits: list[Count]
    balance_loss: NonNegative

    @model_validator(mode="after")
    def _a_learnt_router_needs_a_bias(self) -> Self:
        learnt = self.router_init in get_args(LearntStart) or self.router_refits
        if learnt and not getattr(self, "router_bias", True):
            raise ValueError(f"router_init {self.router_init} and router_refits need router_bias true")
        return self


Mixed = TypeVar("Mixed", bound=MixtureParams)
Chunked = TypeVar("Chunked", bound=ChunkedPromptParams)


class Start(Protocol):
    """A fit of a router to training rows; ptmoe/training/router_start.py implements it."""

    inputs: np.ndarray
    """[rows, H] what the router sees."""

    @property
    def rows(self) -> np.ndarray:
        """The numbers of all rows."""
        ...

    def split(self, among: np.ndarray, parts: int) -> np.ndarray:
        """Puts each of the rows `among` [n] into one of `parts` classes."""
        ...

    def learnt(self, among: np.ndarray, classes: np.ndarray, parts: int) -> Affine:
        """Learns the `parts` classes of the rows `among` [n] from the router's input."""
        ...


class PromptMixture(PromptMethod[Mixed]):
    """A method that chooses or mixes experts for each row.

    Attributes:
        forced: the expert that every row gets in place of the router's choice; None as in training.
    """

    forced: int | None = None

    @property
    def num_experts(self) -> int:
        """N."""
        return self.params.num_experts

    @property
    def selective(self) -> bool:
        """Whether a row uses only the expert with the highest gate, so that forcing that one changes nothing."""
        return getattr(self.params, "selective", True)

    def is_router(self, parameter: str) -> bool:
        return "router" in parameter

    def start_router(self, start: Start) -> None:
        """Sets the router to a fit of training rows; for methods with `LearntRouterParams`."""
        raise NotImplementedError

    @property
    def experts(self) -> Tensor:
        """The prompts [N, P, H] that are mixed."""
        raise NotImplementedError

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the experts' weights [B, N] and the router's gates [B, N]; arguments as `soft_prompt`."""
        raise NotImplementedError

    def mix(self, weights: Tensor) -> Tensor:
        """Returns the prompts [B, P, H] of weights [B, N]."""
        return torch.einsum("bn,nth->bth", weights, self.experts)

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        weights, gates = self.weigh(embeds, mask)
        if self.forced is not None:
            weights = alone(weights, self.forced)
        return SoftPrompt(self.mix(weights), Routing.of(gates))


class LinearlyRouted(PromptMixture[Mixed]):
    """A mixture whose router is one softmax layer over the mean embedding x of the text that it reads."""

    router: Router

    @property
    def probationary(self) -> bool:
        """Whether the weight of an expert is its gate, instead of one."""
        return getattr(self.params, "probationary", True)

    def start_router(self, start: Start) -> None:
        self.router.start(start.learnt(start.rows, start.split(start.rows, self.num_experts), self.num_experts))

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.router(masked_mean(embeds, mask))
        return expert_weights(gates, self.selective, self.probationary), gates

    def routed(self) -> RoutedPrompts:
        rule = linear_rule(self.router, self.selective, self.probationary, self.router_input)
        return RoutedPrompts(self.experts, dict(self.router.linear.named_parameters()), rule)


class ChunkedMixture(PromptMixture[Chunked]):
    """N prompts [T / N, H], cut one after the other from the embeddings of the text, so they differ at the start."""

    def __init__(self, params: Chunked, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.prompts = nn.Parameter(torch.zeros(params.num_experts, self.prompt_length, geometry.hidden_size))

    @property
    def prompt_length(self) -> int:
        return self.params.prompt_length // self.params.num_experts

    @property
    def experts(self) -> Tensor:
        return self.prompts

    def initialise(self, text_embeds: Tensor) -> None:
        self.prompts.data.copy_(fit_length(text_embeds, self.params.prompt_length).view_as(self.prompts))
