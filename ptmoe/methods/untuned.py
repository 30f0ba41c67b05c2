"""The base model as it is: the row that every comparison needs."""

from __future__ import annotations

from ptmoe.tuning.method import Method, NoParams


class Untuned(Method[NoParams]):
    """Trains nothing."""


METHOD = Untuned
