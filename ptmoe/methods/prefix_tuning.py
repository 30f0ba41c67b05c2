"""Prefix tuning: keys and values of every layer from an MLP (Li and Liang 2021; peft PrefixEncoder, projected)."""

from ptmoe.tuning.peft import PeftMethod


class PrefixTuning(PeftMethod):
    """See `ptmoe.tuning.peft`; the block of params.yaml decides."""


METHOD = PrefixTuning
