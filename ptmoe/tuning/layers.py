"""What methods have in common that update named linear layers by low-rank products."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, StrictStr

from ptmoe.base.geometry import Geometry
from ptmoe.config.fields import Count, Positive
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.method import Method, MethodParams


class LayerParams(MethodParams):
    rank: Count
    alpha: Positive
    target_modules: Annotated[list[StrictStr], Field(min_length=1)]


Layers = TypeVar("Layers", bound=LayerParams)


class LayerMethod(Method[Layers]):
    """A method that adds (alpha / r) B A x, or a mixture of such updates, to the outputs of linear layers."""

    schema = LayerParams
    size_key = "rank"

    @classmethod
    def check(cls, params: Layers, geometry: Geometry) -> None:
        """Raises `ParamsError` for a name that no linear layer has, or a rank beyond a layer's sizes."""
        for name in params.target_modules:
            found = geometry.matching([name])
            if not found:
                known = sorted({linear.path.rpartition(".")[2] for linear in geometry.linears})
                raise ParamsError(
                    f"target_modules: got {name!r}, which no linear layer of the base model is called; "
                    f"allowed: {', '.join(known)}"
                )
            limit = min(min(linear.inputs, linear.outputs) for linear in found)
            if params.rank > limit:
                raise ParamsError(f"rank: got {params.rank}; allowed: 1 to {limit}, the smaller side of {name}")
