"""P-Tuning v2: trained keys and values in every layer (Liu et al. 2022; peft PrefixEncoder without projection)."""

from ptmoe.tuning.peft import PeftMethod


class PTuningV2(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = PTuningV2
