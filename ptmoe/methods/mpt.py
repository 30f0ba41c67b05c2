"""Multitask prompt tuning: P = P* o (u v^T), P* [T, H] shared, u [T] and v [H] of a task (Wang et al. 2023, formula 1).

Here the tasks are one: the data sets of a run share the prompt and its factors, because a test set from outside of the
training data has no factors of its own. Distillation from a trained teacher for each source task is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry
from ptmoe.tuning.method import PromptMethod, PromptParams
from ptmoe.tuning.svd import fit_length


class MultitaskPromptTuning(PromptMethod[PromptParams]):
    """P* starts from the embeddings of the task's text, u and v from ones, so that the first prompt is that of `pt`."""

    def __init__(self, params: PromptParams, geometry: Geometry) -> None:
        super().__init__(params, geometry)
        self.shared = nn.Parameter(torch.zeros(params.prompt_length, geometry.hidden_size))
        self.u = nn.Parameter(torch.ones(params.prompt_length))
        self.v = nn.Parameter(torch.ones(geometry.hidden_size))

    def initialise(self, text_embeds: Tensor) -> None:
        self.shared.data.copy_(fit_length(text_embeds, self.prompt_length))

    def made(self) -> Tensor:
        return self.shared * torch.outer(self.u, self.v)


METHOD = MultitaskPromptTuning
