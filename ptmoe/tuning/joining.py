"""What the base model takes and gives: prompt and text as one sequence; the text's logits, or the loss of answers.

Only this module knows the position of a prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ptmoe.tuning.method import Routing

IGNORED = -100


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


@dataclass(frozen=True)
class TextLogits:
    """The output of a forward pass without labels.

    Attributes:
        logits: [B, T, V] at the text's positions.
        routing: None for a method without a router.
    """

    logits: Tensor
    routing: Routing | None


class AnswerLoss(NamedTuple):
    """The output of a forward pass with labels; a tuple, so that ZeRO-3 finds the loss in it.

    Attributes:
        loss_sum: summed cross entropy of the answer tokens, float32.
        num_tokens: number of answer tokens.
        exact: [B] whether greedy decoding would give a row's answer token for token; None in training mode.
        row_losses: [B] each row's part of `loss_sum`; None in training mode.
        routing: None for a method without a router.
    """

    loss_sum: Tensor
    num_tokens: Tensor
    exact: Tensor | None
    row_losses: Tensor | None
    routing: Routing | None

    @classmethod
    def of(cls, logits: Tensor, targets: Tensor, routing: Routing | None) -> Self:
        """Sums the losses of all tokens, from logits [A, V] and targets [A]."""
        loss_sum = F.cross_entropy(logits.float(), targets, reduction="sum")
        return cls(loss_sum, torch.tensor(targets.shape[0], device=targets.device), None, None, routing)

    def by_row(self, logits: Tensor, targets: Tensor, row: Tensor, num_rows: int) -> Self:
        """Adds what is known of each row, from logits [A, V], targets [A] and the tokens' rows [A]."""
        # Greedy decoding generates the likeliest token after the right ones, as long as it has made no error.
        exact = torch.ones(num_rows, dtype=torch.bool, device=targets.device)
        exact[row[logits.argmax(-1) != targets]] = False
        losses = F.cross_entropy(logits.float(), targets, reduction="none")
        return self._replace(exact=exact, row_losses=losses.new_zeros(num_rows).index_add(0, row, losses))
