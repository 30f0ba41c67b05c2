"""Mixtures of prompts: a router weighs the experts, and the prompt is the weighted sum of theirs."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ptmoe.methods.base import PromptMethod, Routing, SoftPrompt
from ptmoe.methods.params import ChunkedPromptParams, PromptParams
from ptmoe.methods.router import Affine, alone
from ptmoe.methods.svd import fit_length
from ptmoe.models.geometry import Geometry

Mixed = TypeVar("Mixed", bound=PromptParams)
Chunked = TypeVar("Chunked", bound=ChunkedPromptParams)


class Start(Protocol):
    """What training rows tell a router before training; ptmoe/training/router_start.py makes it."""

    @property
    def rows(self) -> np.ndarray:
        """The numbers of all rows."""
        ...

    def split(self, among: np.ndarray, parts: int) -> np.ndarray:
        """Puts each of the rows `among` [n] into one of `parts` classes."""
        ...

    def learnt(self, among: np.ndarray, classes: np.ndarray, parts: int) -> Affine:
        """Learns to tell the `parts` classes of the rows `among` [n] by what the router sees."""
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
        raise NotImplementedError

    @property
    def selective(self) -> bool:
        """Whether a row gets the expert with the highest gate alone, so that forcing that one changes nothing."""
        raise NotImplementedError

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the experts' weights [B, N] and the router's gates [B, N]; arguments as `soft_prompt`."""
        raise NotImplementedError

    def mix(self, weights: Tensor) -> Tensor:
        """Returns the prompts [B, P, H] of weights [B, N]."""
        raise NotImplementedError

    def start_router(self, start: Start) -> None:
        """Sets the router where `router_init` is learnt from training rows."""
        raise NotImplementedError

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        weights, gates = self.weigh(embeds, mask)
        if self.forced is not None:
            weights = alone(weights, self.forced)
        return SoftPrompt(self.mix(weights), Routing.of(gates))


class ChunkedMixture(PromptMixture[Chunked]):
    """N prompts [T / N, H], cut one after the other from the embeddings of the text, so they differ at the start."""

    size_key = "prompt_length"

    def __init__(self, params: Chunked, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        length = params.prompt_length // params.num_experts
        self.prompts = nn.Parameter(torch.zeros(params.num_experts, length, geometry.hidden_size))

    @property
    def num_experts(self) -> int:
        return self.params.num_experts

    @property
    def prompt_length(self) -> int:
        return self.prompts.shape[1]

    def initialise(self, text_embeds: Tensor) -> None:
        self.prompts.data.copy_(fit_length(text_embeds, self.params.prompt_length).view_as(self.prompts))

    def mix(self, weights: Tensor) -> Tensor:
        return torch.einsum("bn,nth->bth", weights, self.prompts)
