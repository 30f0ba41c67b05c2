"""(IA)^3: trained scales of keys, values and inner activations (Liu et al. 2022; peft IA3Config)."""

from ptmoe.tuning.peft import PeftMethod


class Ia3(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = Ia3
