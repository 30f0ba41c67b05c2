"""Joins prompt and text to one sequence; only this module knows the position of a prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ptmoe.tuning.method import Routing


@dataclass(frozen=True)
class Joined:
    """Prompt and text as the base model takes them.

    Attributes:
        inputs_embeds: [B, P + T, H] rows of `[pad][prompt][text]` or `[prompt][text][pad]`.
        attention_mask: [B, P + T].
        position_ids: [B, P + T] counting from 0 at each row's first token that is not padding.
        routing: None for a method without a router.
    """

    inputs_embeds: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    routing: Routing | None


def place(prompt: Tensor, embeds: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Puts each row's prompt right before its first token that is not padding.

    A prompt before left padding would be separated from the text by the padding, under rotary positions and
    sliding windows alike; that makes a row's output depend on its neighbours in the batch (huggingface/peft#1093).

    Args:
        prompt: [B, P, H].
        embeds: [B, T, H].
        attention_mask: [B, T].

    Returns:
        embeds [B, P + T, H] and mask [B, P + T]; text position t of `embeds` is at P + t.
    """
    length, width = prompt.shape[1], embeds.shape[2]
    padding = (attention_mask.cumsum(dim=-1) == 0).sum(dim=-1, keepdim=True)
    column = torch.arange(length + embeds.shape[1], device=embeds.device).expand(embeds.shape[0], -1)
    source = torch.where(column < padding + length, column - padding, column)
    source = torch.where(column < padding, column + length, source)
    joined = torch.cat([prompt.to(embeds.dtype), embeds], dim=1)
    mask = F.pad(attention_mask, (length, 0), value=1)
    return joined.gather(1, source.unsqueeze(-1).expand(-1, -1, width)), mask.gather(1, source)
