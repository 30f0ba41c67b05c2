"""Decomposed prompt tuning: P = A B, A [T, R], B [R, H] (Xiao et al. 2023; XYaoooo/DPT, modeling_t5.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.tuning.low_rank import DecomposedPromptParams, LowRankPrompt


class DecomposedPromptTuning(LowRankPrompt[DecomposedPromptParams]):
    """One low-rank prompt, initialised by the SVD of the text (paper, table 9; the official code draws at random)."""

    def __init__(self, params: DecomposedPromptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        rank = self.rank(params, geometry)
        self.a = nn.Parameter(torch.zeros(params.prompt_length, rank))
        self.b = nn.Parameter(torch.zeros(rank, geometry.hidden_size))

    def initialise(self, text_embeds: Tensor) -> None:
        a, b = self.factors_of(text_embeds)
        self.a.data.copy_(a)
        self.b.data.copy_(b)

    def made(self) -> Tensor:
        return self.a @ self.b


METHOD = DecomposedPromptTuning
