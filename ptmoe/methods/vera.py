"""VeRA: trained scales between frozen random matrices (Kopiczko et al. 2024; peft VeraConfig)."""

from ptmoe.tuning.peft import PeftMethod


class Vera(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = Vera
