"""Residual prompt tuning: P' = P + LN(W_up ReLU(W_down P)) (Razdaibiedina et al. 2023; arazd/ResidualPrompts)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count
from ptmoe.tuning.method import PromptMethod, PromptParams, SoftPrompt
from ptmoe.tuning.svd import fit_length


class ResidualPromptParams(PromptParams):
    bottleneck: Count


class ResidualPromptTuning(PromptMethod[ResidualPromptParams]):
    """A prompt from the text, through one shared bottleneck with biases and a trained norm, as in the official code."""

    schema = ResidualPromptParams
    size_key = "prompt_length"

    def __init__(self, params: ResidualPromptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        hidden = geometry.hidden_size
        self.prompt = nn.Parameter(torch.zeros(params.prompt_length, hidden))
        self.bottleneck = nn.Sequential(
            nn.Linear(hidden, params.bottleneck, dtype=torch.float32),
            nn.ReLU(),
            nn.Linear(params.bottleneck, hidden, dtype=torch.float32),
            nn.LayerNorm(hidden, dtype=torch.float32),
        )

    def initialise(self, text_embeds: Tensor) -> None:
        self.prompt.data.copy_(fit_length(text_embeds, self.prompt_length))

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        prompt = self.prompt + self.bottleneck(self.prompt)
        return SoftPrompt(prompt.expand(embeds.shape[0], -1, -1))


METHOD = ResidualPromptTuning
