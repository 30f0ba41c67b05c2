"""Whether a stored adapter fits a base model, told from the base's config alone, before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ptmoe.base.geometry import Geometry, meta_model, read_config
from ptmoe.tuning.adapters import AdapterConfig, check_tensors
from ptmoe.tuning.registry import load_method, method_params

if TYPE_CHECKING:
    from torch import Tensor


def check_fit(config: AdapterConfig, tensors: dict[str, Tensor], source: Path) -> Geometry:
    """Compares names and shapes of an adapter's tensors with those that its method trains on a base of these sizes.

    Args:
        config: the adapter's.
        tensors: the adapter's.
        source: the base's folder or config.json.

    Returns:
        the sizes of the base.

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
    parts = {"base": base, "method": method}
    expected = {
        f"{part}.{name}": parameter
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    check_tensors(dict(expected), tensors)
    return geometry
