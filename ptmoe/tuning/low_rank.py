"""Prompts that are products of two factors, whose rank is a number or follows from a budget."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import Tensor

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.budget import auto_rank
from ptmoe.tuning.method import PromptMethod, PromptParams
from ptmoe.tuning.svd import SvdPadding, fit_length, low_rank_factors


class DecomposedPromptParams(PromptParams):
    """A prompt with a rank: a number, or `auto`, the largest that fits the budget of an undecomposed prompt."""

    rank: Count | Literal["auto"]
    svd_padding: SvdPadding


def solved_rank(
    params: DecomposedPromptParams, hidden_size: int, num_experts: int = 1, router: int = 0, num_factors: int = 1
) -> int:
    """Returns the rank of a decomposed prompt: the number given, or what `auto` solves to.

    Raises:
        ParamsError: no rank fits the budget, or the number exceeds the rank of T x H matrices.
    """
    rank, length = params.rank, params.prompt_length
    if rank == "auto":
        rank = auto_rank(length * hidden_size, length, hidden_size, num_experts, router, num_factors)
        if rank < 1:
            raise ParamsError(
                f"rank: auto finds no rank of 1 or more inside the budget of pt ({length * hidden_size} parameters at "
                f"prompt_length {length}, hidden size {hidden_size}) with {num_experts} experts; use fewer experts, a "
                f"longer prompt, or give a rank"
            )
    limit = hidden_size if params.svd_padding == "seeded" else min(length, hidden_size)
    if rank > limit:
        raise ParamsError(
            f"rank: got {rank}; allowed: auto, or 1 to {limit} with prompt_length {length}, hidden size {hidden_size} "
            f"and svd_padding {params.svd_padding}"
        )
    return rank


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
