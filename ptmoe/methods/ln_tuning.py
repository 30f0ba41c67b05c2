"""LN-tuning: the norms of the base model alone (Qi et al. 2022; peft LNTuningConfig)."""

from ptmoe.tuning.peft import PeftMethod


class LnTuning(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = LnTuning
