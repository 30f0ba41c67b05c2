"""PT-MoE in two levels: one router chooses a group, another chooses an expert of the group (paper, section 6).

Experts of a group share a factor: P = sum_g sum_i w_gi A_gi B_g. Groups can learn unrelated prompts, and experts of one
group related ones.
"""

from __future__ import annotations

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count
from ptmoe.tuning.method import RoutedPrompts
from ptmoe.tuning.mixture import Start
from ptmoe.tuning.moe import LowRankExperts, MoEParams
from ptmoe.tuning.router import Router, expert_weights, masked_mean


class PtmoeHierarchicalParams(MoEParams):
    num_groups: Count
    # The losses of single experts do not identify a row's group.
    router_refits: Annotated[list[Count], Field(max_length=0)]

    @model_validator(mode="after")
    def _groups_divide_the_experts(self) -> Self:
        if self.num_experts % self.num_groups or self.num_experts == self.num_groups:
            raise ValueError(
                f"num_groups {self.num_groups} does not divide num_experts {self.num_experts} into groups of two or "
                f"more; each group needs the same number of experts"
            )
        return self


class HierarchicalPromptTuningMoE(LowRankExperts[PtmoeHierarchicalParams]):
    """G groups of N / G experts A_i [T, R], each group over its own B_g [R, H].

    An expert's gate is its group's gate times its own gate in the group, so the gates of all N sum to one.
    """

    schema = PtmoeHierarchicalParams

    def __init__(self, params: PtmoeHierarchicalParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        groups = params.num_groups
        self.group_router = self.new_router(groups)
        self.expert_routers = nn.ModuleList(self.new_router(params.num_experts // groups) for _ in range(groups))

    @classmethod
    def factors(cls, params: PtmoeHierarchicalParams) -> tuple[int, ...]:
        return (params.num_groups,)

    @classmethod
    def choices(cls, params: PtmoeHierarchicalParams) -> int:
        return params.num_groups + params.num_experts

    def start_router(self, start: Start) -> None:
        count = self.params.num_groups
        groups = start.split(start.rows, count)
        self.group_router.start(start.learnt(start.rows, groups, count))
        for group, router in enumerate(self.expert_routers):
            rows = start.rows[groups == group]
            assert isinstance(router, Router)
            experts = router.linear.out_features
            router.start(start.learnt(rows, start.split(rows, experts), experts))

    def weigh(self, embeds: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = masked_mean(embeds, mask)
        inside = torch.stack([router(x) for router in self.expert_routers], dim=1)
        gates = (self.group_router(x).unsqueeze(-1) * inside).flatten(1)
        return expert_weights(gates, self.params.selective, self.params.probationary), gates

    @property
    def experts(self) -> Tensor:
        return self.mix(torch.eye(self.num_experts, device=self.a.device))

    def mix(self, weights: Tensor) -> Tensor:
        a, groups = self.a, self.params.num_groups
        mixed = torch.einsum("bgn,gntr->bgtr", weights.view(len(weights), groups, -1), a.view(groups, -1, *a.shape[1:]))
        return torch.einsum("bgtr,grh->bth", mixed, self.b)

    def routed(self) -> RoutedPrompts:
        params = self.params
        router = {name: value for name, value in self.named_parameters() if "router" in name}
        rule = (
            f"x = mean of the input embeddings of the {params.router_input}'s tokens; gate of an expert = softmax over "
            f"groups times softmax over the {params.num_experts // params.num_groups} experts of its group, in the "
            f"order of the groups; the weight {'of the largest gate alone' if params.selective else 'of every one'}: "
            f"{'its gate' if params.probationary else '1'}; prompt = sum of weight times expert"
        )
        return RoutedPrompts(self.experts, router, rule)


METHOD = HierarchicalPromptTuningMoE
