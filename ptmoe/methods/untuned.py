"""The base model as it is: the row that every comparison needs."""

from __future__ import annotations

from ptmoe.methods.base import Method
from ptmoe.methods.params import NothingParams
from ptmoe.models.geometry import Geometry


class Untuned(Method[NothingParams]):
    """Trains nothing."""

    @classmethod
    def count(cls, params: NothingParams, geometry: Geometry) -> int:
        return 0


METHOD = Untuned
