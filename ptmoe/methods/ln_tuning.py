"""LN-tuning: the norms of the base model alone (Qi et al. 2022; peft LNTuningConfig)."""

from ptmoe.methods.peft import PeftMethod


class LnTuning(PeftMethod):
    """See `ptmoe.methods.peft`; the block of params.yaml decides."""


METHOD = LnTuning
