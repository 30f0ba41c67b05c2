"""Routing: a router's input, its gates, and the experts' weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PlainStart = Literal["default", "orthogonal", "zero_bias"]
LearntStart = Literal["datasets", "clusters", "gradients"]


def masked_mean(embeds: Tensor, mask: Tensor) -> Tensor:
    """Averages embeddings [B, T, H] where mask [B, T] is true, in float32; zero for a row without any.

    The paper's mean over the sequence (algorithm 1) would include padding and, in training, the answer. Masking
    padding follows SMoP (peft_models/tuners/prompt_routing.py).
    """
    weights = mask.float()
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1)
    return torch.einsum("bt,bth->bh", weights, embeds.float())


class Affine(NamedTuple):
    """Logits W x + b: `weight` [N, H], `bias` [N]."""

    weight: Tensor
    bias: Tensor


class Router(nn.Module):
    """Gates p = softmax(W x + b) over experts; logits are multiplied by 1 + noise in training.

    Args:
        noise: standard deviation of the multiplicative noise (paper, section 3.3: 0.01).
        init: `default` (torch's linear layer), `orthogonal` (as SMoP), `zero_bias` (default, with a bias of zero);
            a fit to training rows replaces `default` (ptmoe/training/router_start.py).
    """

    def __init__(
        self,
        hidden_size: int,
        num_experts: int,
        bias: bool,
        noise: float,
        init: PlainStart | LearntStart = "default",
    ) -> None:
        super().__init__()
        self.noise = noise
        # Training replaces this by noise that does not depend on how a batch is split over devices.
        self.draw: Callable[[Tensor], Tensor] = torch.randn_like
        self.linear = nn.Linear(hidden_size, num_experts, bias=bias, dtype=torch.float32)
        if init == "orthogonal":
            nn.init.orthogonal_(self.linear.weight)
        elif init == "zero_bias" and bias:
            nn.init.zeros_(self.linear.bias)

    @torch.no_grad()
    def start(self, at: Affine) -> None:
        """Sets W and b; the layer must have a bias."""
        self.linear.weight.copy_(at.weight)
        self.linear.bias.copy_(at.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Returns gates [B, N] of inputs [B, H]."""
        logits = self.linear(x)
        if self.training and self.noise > 0:
            logits = logits * (1 + self.noise * self.draw(logits))
        return logits.softmax(dim=-1)


def expert_weights(gates: Tensor, selective: bool, probationary: bool) -> Tensor:
    """Turns gates p [B, N] into the experts' weights w [B, N].

    Selective keeps the largest gate alone and is not renormalised; probationary scales by the gate (paper, section 3.3
    and figure 3). Where the forward value is 1, the gradient passes straight through to p: without that the router
    would have none.
    """
    kept = F.one_hot(gates.argmax(dim=-1), gates.shape[-1]).to(gates) if selective else torch.ones_like(gates)
    return gates * kept if probationary else kept + (gates - gates.detach())


def balance_loss(gates: Tensor) -> Tensor:
    """N sum_i f_i p_i of gates [B, N]: f_i the share of rows whose highest gate is i, p_i the mean gate.

    1 where experts share the rows evenly, N where one gets all (Fedus et al. 2022, Switch Transformers, equation 4).
    """
    share = F.one_hot(gates.argmax(dim=-1), gates.shape[-1]).to(gates).mean(dim=0)
    return gates.shape[-1] * (share * gates.mean(dim=0)).sum()


def alone(weights: Tensor, expert: int) -> Tensor:
    """Gives one expert the sum of each row's weights [B, N]: only the choice changes, not the scale."""
    only = torch.zeros_like(weights)
    only[:, expert] = weights.sum(dim=-1)
    return only


def linear_rule(router: Router, selective: bool, probationary: bool, seen: str = "prompt") -> str:
    """Describes in words what `Router` and `expert_weights` do, for exports."""
    bias = " + bias" if router.linear.bias is not None else ""
    kept = "of the largest gate alone, the others 0" if selective else "of every expert"
    value = "its gate" if probationary else "1"
    return (
        f"x = mean of the input embeddings of the {seen}'s tokens; gates = softmax(weight x{bias}); "
        f"the weight {kept}: {value}; prompt = sum of weight times expert"
    )
