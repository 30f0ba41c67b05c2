"""PT-MoE whose router starts from training rows and keeps still while the experts learn."""

from __future__ import annotations

from ptmoe.methods.mixture import Start
from ptmoe.methods.params import PtmoeRoutedParams
from ptmoe.methods.ptmoe import PromptTuningMoE


class RoutedPromptTuningMoE(PromptTuningMoE):
    """PT-MoE with a start, a rate and a balance loss of its router (ptmoe/training/router_start.py).

    Experts over one shared factor want a rate near one, which AdamW would also move each weight of the router by: it
    would turn the choice over within a few steps, for good.
    """

    params: PtmoeRoutedParams

    @property
    def balance_loss(self) -> float:
        return self.params.balance_loss

    @property
    def router_refits(self) -> list[int]:
        return self.params.router_refits

    def rate_of(self, parameter: str) -> float:
        return self.params.router_learning_rate if parameter.startswith("router.") else 1.0

    def start_router(self, start: Start) -> None:
        rows, parts = start.rows, self.num_experts
        self.router.start(start.learnt(rows, start.split(rows, parts), parts))


METHOD = RoutedPromptTuningMoE
