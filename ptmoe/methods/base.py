"""What a tuning method is: a module that makes a soft prompt, changes layers of the base model, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ptmoe.methods.params import MethodParams
from ptmoe.models.geometry import Geometry


@dataclass(frozen=True)
class Routing:
    """What a router decided for each row.

    Attributes:
        expert: [B] the expert with the highest gate.
        probability: [B] that expert's gate.
        gates: [B, N] the softmax over experts.
    """

    expert: Tensor
    probability: Tensor
    gates: Tensor


@dataclass(frozen=True)
class SoftPrompt:
    """What stands before the text.

    Attributes:
        embeds: [B, P, H] in float32; P may be 0.
        routing: None for a method without a router.
    """

    embeds: Tensor
    routing: Routing | None = None


class Method(nn.Module):
    """One tuning method; the default does nothing to the base model.

    Args:
        params: the method's block of params.yaml.
        geometry: sizes of the base model.

    Raises:
        ParamsError: the parameters do not fit the base model (see `check`).
    """

    routes_on: ClassVar[str] = "prompt"

    def __init__(self, params: MethodParams, geometry: Geometry) -> None:
        super().__init__()
        self.params, self.geometry = params, geometry

    @classmethod
    def check(cls, params: MethodParams, geometry: Geometry) -> None:
        """Raises `ParamsError` when the parameters do not fit the base model; loads nothing."""

    @classmethod
    def count(cls, params: MethodParams, geometry: Geometry) -> int:
        """Returns the number of trainable parameters in closed form."""
        raise NotImplementedError

    @property
    def prompt_length(self) -> int:
        """Virtual tokens before every row."""
        return 0

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        """Puts trainable layers into the base model, or makes its weights trainable; returns the base model."""
        return base

    def initialise(self, text_embeds: Tensor) -> None:
        """Sets initial values from the embeddings [n, H] (float32) of the task's text; draws from torch's global generator."""

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        """Makes the rows' prompts.

        Args:
            embeds: [B, T, H] embeddings of the text.
            mask: [B, T] true where the router may look; never at padding or answers.

        Returns:
            embeds [B, P, H].
        """
        return SoftPrompt(torch.empty(embeds.shape[0], 0, embeds.shape[2], device=embeds.device))
