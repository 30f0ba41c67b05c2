"""P-Tuning: a prompt made by a small encoder (Liu et al. 2021; peft PromptEncoder)."""

from ptmoe.tuning.peft import PeftMethod


class PTuning(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = PTuning
