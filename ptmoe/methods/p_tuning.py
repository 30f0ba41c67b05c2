"""P-Tuning: a prompt made by a small encoder (Liu et al. 2021; peft PromptEncoder)."""

from ptmoe.methods.peft import PeftMethod


class PTuning(PeftMethod):
    """See `ptmoe.methods.peft`; the block of params.yaml decides."""


METHOD = PTuning
