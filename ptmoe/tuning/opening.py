"""Opens an adapter and its base to answer; every command and stage does it here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ptmoe.base.compute import is_widened
from ptmoe.base.geometry import Geometry
from ptmoe.base.model import BaseInfo
from ptmoe.runtime.errors import AdapterError
from ptmoe.tuning.adapters import AdapterConfig, read_adapter_config
from ptmoe.tuning.prompted_lm import PromptedLM
from ptmoe.tuning.registry import load_method, method_params


def open_adapter(folder: Path, info: BaseInfo, device: torch.device) -> PromptedLM:
    """Loads an adapter on its base model, on a device, in eval mode and in the base's precision.

    Raises:
        AdapterError: the folder is damaged, does not fit the base model, or was trained on another.
        BaseModelError: the base model cannot be loaded.
    """
    model = PromptedLM.load(folder, info=info).to(device)
    if is_widened(model.base, info.dtype):
        # Weights that were trained in float32 answer in the precision of the base.
        model.base.to(getattr(torch, info.dtype))
    return model


def open_adapters(folders: Mapping[str, Path], info: BaseInfo, device: torch.device) -> dict[str, PromptedLM]:
    """Loads several adapters (name -> folder) of one base; those that leave the base as it is share one copy of it.

    Raises:
        AdapterError: a folder is damaged, or its adapter belongs to another base or to another precision of it.
        BaseModelError: the base model cannot be loaded.
    """
    models: dict[str, PromptedLM] = {}
    shared: PromptedLM | None = None
    for name, folder in folders.items():
        config = read_adapter_config(folder)
        if config.base.dtype != info.dtype:
            raise AdapterError(
                f"{folder} answers in {config.base.dtype} and the first adapter in {info.dtype}; open them apart"
            )
        if shared is not None and not _changes_base(config, shared.method.geometry):
            models[name] = PromptedLM.load(folder, shared.base, info)
        else:
            models[name] = open_adapter(folder, info, device)
            shared = shared if models[name].method.changes_base else models[name]
    return models


def _changes_base(config: AdapterConfig, geometry: Geometry) -> bool:
    with torch.device("meta"):
        return load_method(config.method)(method_params(config.method, config.params), geometry).changes_base
