"""The unchanged base model, the baseline of every comparison."""

from __future__ import annotations

from ptmoe.tuning.method import Method, NoParams


class Untuned(Method[NoParams]):
    """Trains nothing."""


METHOD = Untuned
