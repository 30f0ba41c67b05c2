"""Equal budgets: the rank that the paper's rule gives, and parameter counts in closed form. Imports no torch."""

from __future__ import annotations

from ptmoe.errors import ParamsError
from ptmoe.methods.params import DecomposedPromptParams, Rank


def router_parameters(hidden_size: int, num_experts: int, bias: bool) -> int:
    """Counts the logits layer W [N, H], b [N]."""
    return num_experts * (hidden_size + bias)


def auto_rank(budget: int, prompt_length: int, hidden_size: int, num_experts: int = 1, router: int = 0) -> int:
    """Returns the largest R with N T R + R H + router <= budget; below 1 where there is none.

    With budget = T H, that of `pt`, this gives the paper's ranks: 39 for DPT and 36 for PT-MoE with two experts
    (table 9; the rule itself is not printed there, and counting no router would give 38).
    """
    return (budget - router) // (num_experts * prompt_length + hidden_size)


def solved_rank(
    rank: Rank, params: DecomposedPromptParams, hidden_size: int, num_experts: int = 1, router: int = 0
) -> int:
    """Returns the rank of a decomposed prompt: the number given, or what `auto` solves to.

    Raises:
        ParamsError: no rank fits the budget, or the number is beyond what T x H matrices have.
    """
    length = params.prompt_length
    if rank == "auto":
        rank = auto_rank(length * hidden_size, length, hidden_size, num_experts, router)
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
