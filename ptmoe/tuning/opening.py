"""Opens an adapter and its base to answer; every command and stage does it here."""

from __future__ import annotations

from pathlib import Path

import torch

from ptmoe.base.compute import is_widened
from ptmoe.base.model import BaseInfo
from ptmoe.tuning.prompted_lm import PromptedLM


def open_adapter(folder: Path, info: BaseInfo, device: torch.device) -> PromptedLM:
    """Loads an adapter on its base model, on a device, in eval mode and in the base's precision.

    Args:
        folder: an adapter folder.
        info: the base model; one that the adapter was not trained on is refused.
        device: the device to answer on.

    Raises:
        AdapterError: the folder is damaged or does not fit the base model.
        BaseModelError: the base model cannot be loaded.
    """
    model = PromptedLM.load(folder, info=info).to(device)
    if is_widened(model.base, info.dtype):
        # Weights that were trained in float32 answer in the precision of the base.
        model.base.to(getattr(torch, info.dtype))
    return model
