"""VeRA: trained scales between frozen random matrices (Kopiczko et al. 2024; peft VeraConfig)."""

from ptmoe.methods.peft import PeftMethod


class Vera(PeftMethod):
    """See `ptmoe.methods.peft`; the block of params.yaml decides."""


METHOD = Vera
