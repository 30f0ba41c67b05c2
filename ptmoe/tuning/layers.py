"""Checks shared by methods that change layers of the base model."""

from __future__ import annotations

from ptmoe.base.geometry import Geometry
from ptmoe.runtime.errors import ParamsError


def check_targets(names: list[str], rank: int, geometry: Geometry) -> None:
    """Raises `ParamsError` for a name that no linear layer has, or a rank beyond a layer's sizes."""
    for name in names:
        found = geometry.matching([name])
        if not found:
            known = sorted({linear.path.rpartition(".")[2] for linear in geometry.linears})
            raise ParamsError(
                f"target_modules: got {name!r}, which no linear layer of the base model is called; "
                f"allowed: {', '.join(known)}"
            )
        limit = min(min(linear.inputs, linear.outputs) for linear in found)
        if rank > limit:
            raise ParamsError(f"rank: got {rank}; allowed: 1 to {limit}, the smaller side of {name}")
