"""PT-MoE for tasks that arrive one after the other: a new expert and a new row of the router for each.

What belongs to an earlier task never moves, so a question that is routed as before is answered as before. The router
keeps one cluster a task, the mean input of its training rows, and chooses the nearest (the rule of the nearest mean of
exemplars, Rebuffi et al. 2017, iCaRL): its rows need no data of other tasks.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptmoe.base.geometry import Geometry
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.budget import router_parameters
from ptmoe.tuning.low_rank import DecomposedPromptParams, LowRankPrompt, solved_rank
from ptmoe.tuning.method import RoutedPrompts
from ptmoe.tuning.mixture import MixtureParams, PromptMixture, Start
from ptmoe.tuning.router import expert_weights, masked_mean


class PtmoeContinualParams(MixtureParams, DecomposedPromptParams):
    """`num_experts` is the number of tasks so far."""

    router_init: Literal["clusters"]
    router_input: Literal["prompt", "question"]


class ContinualPromptTuningMoE(LowRankPrompt[PtmoeContinualParams], PromptMixture[PtmoeContinualParams]):
    """N prompts A_i [T, R] B_i [R, H]; gates = softmax(w_i x + b_i) with w_i a task's mean and b_i = -|w_i|^2 / 2.

    Training gives each row to the newest expert. The chosen expert's weight is 1 and not its gate, which would change
    with every new expert. B is not shared: one that went on learning would move the earlier prompts.
    """

    schema = PtmoeContinualParams
    task_key = "num_experts"

    def __init__(self, params: PtmoeContinualParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        rank, hidden, tasks = self.rank(params, geometry), geometry.hidden_size, range(params.num_experts)
        self.a = nn.ParameterList(torch.zeros(params.prompt_length, rank) for _ in tasks)
        self.b = nn.ParameterList(torch.zeros(rank, hidden) for _ in tasks)
        self.router_weight = nn.ParameterList(torch.zeros(hidden) for _ in tasks)
        self.router_bias = nn.ParameterList(torch.zeros(()) for _ in tasks)

    @classmethod
    def rank(cls, params: PtmoeContinualParams, geometry: Geometry) -> int:
        """Returns the rank given, or the largest at which what one task adds is within the budget of `pt`."""
        return solved_rank(params, geometry.hidden_size, router=router_parameters(geometry.hidden_size, 1, True))

    def rate_of(self, parameter: str) -> float:
        return float(not self.is_router(parameter) and parameter.endswith(f".{self.num_experts - 1}"))

    @torch.no_grad()
    def initialise(self, text_embeds: Tensor) -> None:
        a, b = self.factors_of(text_embeds)
        self.a[-1].copy_(a)
        self.b[-1].copy_(b)

    @torch.no_grad()
    def start_router(self, start: Start) -> None:
        """Gives the newest task its row.

        Raises:
            ParamsError: an earlier task has none.
        """
        if not all(weight.any() for weight in self.router_weight[:-1]):
            raise ParamsError(
                f"{self.name()}.num_experts: got {self.num_experts}, but no earlier task was trained; set 1: "
                f"`ptmoe continual` adds an expert for each task"
            )
        mean = torch.from_numpy(start.inputs.mean(0)).to(self.router_weight[-1])
        self.router_weight[-1].copy_(mean)
        self.router_bias[-1].copy_(-mean.square().sum() / 2)

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = self._rows()
        gates = F.linear(masked_mean(embeds, mask), weight, bias).softmax(dim=-1)
        if self.training:
            gates = gates.detach().zero_()
            gates[:, -1] = 1
        return expert_weights(gates, selective=True, probationary=False), gates

    @property
    def experts(self) -> Tensor:
        return torch.stack([a @ b for a, b in zip(self.a, self.b, strict=True)])

    def _rows(self) -> tuple[Tensor, Tensor]:
        return torch.stack(list(self.router_weight)), torch.stack(list(self.router_bias))

    def routed(self) -> RoutedPrompts:
        weight, bias = self._rows()
        rule = (
            f"x = mean of the input embeddings of the {self.params.router_input}'s tokens; "
            f"prompt = the expert with the largest weight x + bias"
        )
        return RoutedPrompts(self.experts, {"weight": weight, "bias": bias}, rule)


METHOD = ContinualPromptTuningMoE
