"""Prompts that are products of two factors, whose rank is a number or follows from a budget."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import Tensor

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count
from ptmoe.tuning.budget import solved_rank
from ptmoe.tuning.method import PromptMethod, PromptParams
from ptmoe.tuning.svd import SvdPadding, fit_length, low_rank_factors


class DecomposedPromptParams(PromptParams):
    """A prompt with a rank: a number, or `auto`, the largest that fits the budget of an undecomposed prompt."""

    rank: Count | Literal["auto"]
    svd_padding: SvdPadding


Decomposed = TypeVar("Decomposed", bound=DecomposedPromptParams)


class LowRankPrompt(PromptMethod[Decomposed]):
    """A method whose prompt has a rank R."""

    schema = DecomposedPromptParams
    size_key = "rank"

    @classmethod
    def rank(cls, params: Decomposed, geometry: Geometry) -> int:
        """Returns the rank given, or the largest for the budget of `pt`."""
        return solved_rank(params, geometry.hidden_size)

    @classmethod
    def check(cls, params: Decomposed, geometry: Geometry) -> None:
        super().check(params, geometry)
        cls.rank(params, geometry)

    @classmethod
    def solved(cls, params: Decomposed, geometry: Geometry) -> Decomposed:
        return params.model_copy(update={"rank": cls.rank(params, geometry)})

    def factors_of(self, text_embeds: Tensor) -> tuple[Tensor, Tensor]:
        """Returns A [T, R] and B [R, H] whose product is nearest to the first T embeddings [n, H] of the text."""
        text = fit_length(text_embeds, self.params.prompt_length)
        return low_rank_factors(text, self.rank(self.params, self.geometry), self.params.svd_padding)
