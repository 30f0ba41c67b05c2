"""Whether a stored adapter fits a base model, told from the base's config alone, before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from ptmoe.base.geometry import Geometry, meta_model, read_config
from ptmoe.tuning.adapters import AdapterConfig, check_tensors
from ptmoe.tuning.registry import load_method, method_params

if TYPE_CHECKING:
    from torch import Tensor


def check_fit(config: AdapterConfig, tensors: dict[str, Tensor], source: Path) -> Geometry:
    """Compares names and shapes of an adapter's tensors with those that its method trains on a base of these sizes.

    Args:
        source: the base's folder or config.json, whose sizes are returned.

    Raises:
        AdapterError: a tensor is missing, surplus or of another shape.
        BaseModelError: an end token or the padding is no token of the base.
        ParamsError: the method's parameters are not allowed or do not fit the base.
    """
    base = meta_model(read_config(source)).requires_grad_(False)
    geometry = Geometry.from_model(base)
    config.base.check_ids(geometry.vocab_size)
    with torch.device("meta"):
        method = load_method(config.method)(method_params(config.method, config.params), geometry)
        base = method.inject(base)
    parts = nn.ModuleDict({"base": base, "method": method})
    check_tensors({name: value for name, value in parts.named_parameters() if value.requires_grad}, tensors)
    return geometry
