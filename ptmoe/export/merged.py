"""An adapter merged into its base: a folder like those of the Hub, which transformers loads by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ptmoe.base.geometry import meta_model
from ptmoe.base.hub import find_folder
from ptmoe.base.model import copy_tokenizer
from ptmoe.export.forms import USE_FILE, read_method
from ptmoe.runtime.errors import AdapterError
from ptmoe.runtime.files import whole_folder, write_json
from ptmoe.tuning.adapters import base_of
from ptmoe.tuning.prompted_lm import PromptedLM

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def export_merged(folder: Path, out: Path) -> None:
    """Writes the base model with an adapter's change in its weights, in the base's precision.

    Sums are taken in float32 and rounded once; a 16-bit base may then answer a little differently than the adapter.

    Raises:
        AdapterError: the adapter is damaged, or its method is no fixed change of the base's weights.
        BaseModelError: the base model cannot be found or loaded.
        PtmoeError: `out` holds anything but an earlier export.
    """
    method, config, tensors = read_method(folder)
    own = {f"base.{name}" for name, _ in meta_model(method.geometry.config).named_parameters()}
    if method.peft_layers() is None and not (tensors and tensors.keys() <= own):
        hint = (
            "use --to embeds or --to vllm" if method.prompt_length else "use it with `ptmoe serve` or `ptmoe predict`"
        )
        raise AdapterError(f"{config.method} is no fixed change of the base's weights, so it cannot be merged; {hint}")
    info = base_of(config)
    base = PromptedLM.load(folder, info=replace(info, dtype="float32")).base
    _merge(base)
    source, _ = find_folder(info.name, info.revision)
    with whole_folder(out) as made:
        copy_tokenizer(source, made)
        base.to(getattr(torch, info.dtype)).save_pretrained(made)  # its own config takes the place of the copy
        write_json(made / USE_FILE, {"merged": config.method, "template": config.template})


@torch.no_grad()
def _merge(base: PreTrainedModel) -> None:
    """Puts peft's layers into the weights below them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = {path: layer for path, layer in base.named_modules() if isinstance(layer, BaseTunerLayer)}
    head: Any = base.get_output_embeddings()
    if head in layers.values() and head.weight is base.get_input_embeddings().weight:
        raise AdapterError(
            "this adapter changes the output layer, whose weights are also the input embeddings; a merge would change "
            "both, so it is refused; answer with `ptmoe serve` or `ptmoe predict`"
        )
    for path, layer in layers.items():
        layer.merge(safe_merge=True)
        base.set_submodule(path, layer.get_base_layer())
