"""Prompt tuning: P [T, H] is trained before a frozen model (Lester et al. 2021; google-research/prompt-tuning)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.tuning.method import PromptMethod, PromptParams, SoftPrompt
from ptmoe.tuning.svd import fit_length


class PromptTuning(PromptMethod[PromptParams]):
    """One prompt for all inputs, initialised with the embeddings of the task's text."""

    size_key = "prompt_length"

    def __init__(self, params: PromptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.prompt = nn.Parameter(torch.zeros(params.prompt_length, geometry.hidden_size))

    def initialise(self, text_embeds: Tensor) -> None:
        self.prompt.data.copy_(fit_length(text_embeds, self.prompt_length))

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        return SoftPrompt(self.prompt.expand(embeds.shape[0], -1, -1))


METHOD = PromptTuning
