"""DePT: a short prompt, and a low-rank update of the text's embeddings (Shi and Lipani 2024; ZhengxiangShi/DePT).

E'_t = E_t + (alpha / sqrt(r)) (A B)_t for the t-th token of the prompt text (prompt_tuning_lora.py). There the base is
an encoder and decoder; here answers get no update, so that training and generation agree, and t counts from a row's
first token, so that padding does not matter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count, Positive
from ptmoe.tuning.method import PromptParams, SoftPrompt, TextPrompt


class DeptParams(PromptParams):
    rank: Count
    alpha: Positive
    max_length: Count


class DecomposedPromptUpdate(TextPrompt[DeptParams]):
    """P [T, H] from the text, A [max_length, r] from Kaiming's uniform distribution, B [r, H] from zero.

    Tokens beyond `max_length` get no update.
    """

    schema = DeptParams

    def __init__(self, params: DeptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.a = nn.Parameter(torch.empty(params.max_length, params.rank))
        self.b = nn.Parameter(torch.zeros(params.rank, geometry.hidden_size))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def soft_prompt(self, embeds: Tensor, mask: Tensor) -> SoftPrompt:
        position = mask.cumsum(dim=-1) - 1
        known = mask & (position < self.params.max_length)
        rows = self.a[position.clamp(0, self.params.max_length - 1)] * known.unsqueeze(-1)
        update = self.params.alpha / math.sqrt(self.params.rank) * (rows @ self.b)
        return SoftPrompt(self.prompt.expand(embeds.shape[0], -1, -1), text=embeds.float() + update)


METHOD = DecomposedPromptUpdate
