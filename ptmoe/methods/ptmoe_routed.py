"""PT-MoE whose router is learnt from training rows and stands still while the experts learn.

Under selective routing the expert that is not chosen gets no gradient, so the printed router learns how far to trust
its choice and never that another choice would have been better; and AdamW moves each of its weights by the rate that a
soft prompt needs, which turns the choice over within a few steps. Here the router starts from clusters of the rows'
gradients, is learnt anew from the experts' losses a few times, and has no rate of its own.
"""

from __future__ import annotations

from ptmoe.tuning.moe import LowRankMoE, MoEParams


class PtmoeRoutedParams(MoEParams):
    """See params.yaml: those of `ptmoe` with a start, a rate and refits of the router."""


class RoutedPromptTuningMoE(LowRankMoE[PtmoeRoutedParams]):
    """The experts of PT-MoE under a router that is learnt apart from them (ptmoe/training/router_start.py)."""

    schema = PtmoeRoutedParams


METHOD = RoutedPromptTuningMoE
