"""The base model as it is: the row that every comparison needs."""

from __future__ import annotations

from ptmoe.base.geometry import Geometry
from ptmoe.config.methods import NothingParams
from ptmoe.tuning.method import Method


class Untuned(Method[NothingParams]):
    """Trains nothing."""

    @classmethod
    def count(cls, params: NothingParams, geometry: Geometry) -> int:
        return 0


METHOD = Untuned
