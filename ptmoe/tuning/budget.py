"""Equal budgets: the rank by the paper's rule, and the largest size within a number of parameters."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from ptmoe.base.geometry import Geometry
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.method import LARGEST

if TYPE_CHECKING:
    from ptmoe.tuning.method import Method, MethodParams


def router_parameters(hidden_size: int, num_experts: int, bias: bool) -> int:
    """Counts the logits layer W [N, H], b [N]."""
    return num_experts * (hidden_size + bias)


def auto_rank(
    budget: int, prompt_length: int, hidden_size: int, num_experts: int = 1, router: int = 0, num_factors: int = 1
) -> int:
    """Returns the largest R with N T R + G R H + router <= budget, G the number of B's; below 1 where there is none.

    With budget = T H, that of `pt`, this gives the paper's ranks: 39 for DPT and 36 for PT-MoE with two experts
    (table 9; the rule itself is not printed there, and counting no router would give 38).
    """
    return (budget - router) // (num_experts * prompt_length + num_factors * hidden_size)


def fitted(method: type[Method[Any]], params: MethodParams, geometry: Geometry, budget: int) -> MethodParams | None:
    """Returns the parameters with the largest `size_key` that keeps the trainable parameters within a budget.

    None where not even the smallest value fits. A method without a `size_key` is returned as it is.
    """
    key = method.size_key
    if key is None:
        return params
    # Prompts that experts share are cut into equal parts.
    step = getattr(params, "num_experts", 1) if key == "prompt_length" else 1

    def at(value: int) -> MethodParams:
        return params.model_copy(update={key: value * step})

    def fits(value: int) -> bool:
        try:
            method.check(at(value), geometry)
        except ParamsError:
            return False
        return method.count(at(value), geometry) <= budget

    most = bisect_left(range(1, LARGEST // step + 1), True, key=lambda value: not fits(value))
    return at(most) if most else None
