"""PT-MoE: P = sum_i w_i A_i B, experts over one low-rank factor, chosen by the input (NeurIPS 2025, section 3)."""

from __future__ import annotations

from ptmoe.tuning.moe import LowRankMoE, MoEParams


class PtmoeParams(MoEParams):
    """See params.yaml: the paper's values; options that the paper does not have are off."""


class PromptTuningMoE(LowRankMoE[PtmoeParams]):
    """The method as printed: one softmax layer chooses the expert and learns at the method's own rate."""

    schema = PtmoeParams


METHOD = PromptTuningMoE
