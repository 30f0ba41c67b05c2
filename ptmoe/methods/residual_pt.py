"""Residual prompt tuning: P' = P + LN(W_up ReLU(W_down P)) (Razdaibiedina et al. 2023; arazd/ResidualPrompts)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count
from ptmoe.tuning.method import PromptParams, TextPrompt


class ResidualPromptParams(PromptParams):
    bottleneck: Count


class ResidualPromptTuning(TextPrompt[ResidualPromptParams]):
    """A prompt from the text, through one shared bottleneck with biases and a trained norm, as in the official code."""

    schema = ResidualPromptParams

    def __init__(self, params: ResidualPromptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        hidden = geometry.hidden_size
        self.bottleneck = nn.Sequential(
            nn.Linear(hidden, params.bottleneck, dtype=torch.float32),
            nn.ReLU(),
            nn.Linear(params.bottleneck, hidden, dtype=torch.float32),
            nn.LayerNorm(hidden, dtype=torch.float32),
        )

    def made(self) -> Tensor:
        return self.prompt + self.bottleneck(self.prompt)


METHOD = ResidualPromptTuning
