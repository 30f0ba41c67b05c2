"""PT-MoE: P = sum_i w_i A_i B, experts over one low-rank factor, chosen by the input (NeurIPS 2025, section 3)."""

from __future__ import annotations

from ptmoe.tuning.moe import LowRankMoE, MoEParams


class PromptTuningMoE(LowRankMoE[MoEParams]):
    """The method as printed: one softmax layer chooses the expert and learns at the method's own rate."""


METHOD = PromptTuningMoE
