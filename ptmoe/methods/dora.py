"""DoRA: LoRA on the direction, a trained magnitude (Liu et al. 2024; peft LoraConfig with use_dora)."""

from ptmoe.tuning.peft import PeftMethod


class Dora(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = Dora
