"""Adapters in formats that other programs load; reads no weights of the base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ptmoe.base.geometry import Geometry, meta_model
from ptmoe.base.hub import find_config
from ptmoe.runtime.errors import AdapterError
from ptmoe.runtime.files import whole_file, whole_folder, write_json
from ptmoe.tuning.adapters import AdapterConfig, read_adapter
from ptmoe.tuning.fit import check_fit
from ptmoe.tuning.method import Method
from ptmoe.tuning.registry import load_method, method_params

EMBEDS_FILE = "prompt_embeds.safetensors"
USE_FILE = "how_to_use.json"


def export_adapter(folder: Path, to: str, out: Path) -> None:
    """Writes an adapter as a folder of the peft library (`peft`) or as prompt embeddings (`embeds`).

    Of the base only the config is read: its sizes must be those of the adapter's tensors; its weights, and so its
    fingerprint, are not looked at.

    Raises:
        AdapterError: the adapter cannot be read, does not fit the base's sizes, or its method has no such format.
        PtmoeError: `out` holds anything but an earlier export.
    """
    method, config, tensors = read_method(folder)
    with whole_folder(out) as made:
        {"peft": _to_peft, "embeds": _to_embeds}[to](method, config, tensors, made)


def read_method(folder: Path) -> tuple[Method[Any], AdapterConfig, dict[str, Tensor]]:
    """Reads an adapter and makes its method, in eval mode, without its base.

    Raises:
        AdapterError: the adapter cannot be read, or does not fit the base's sizes.
    """
    config, tensors = read_adapter(folder)
    geometry = check_fit(config, tensors, find_config(config.base.name, config.base.revision))
    method = load_method(config.method)(method_params(config.method, config.params), geometry)
    own = {name.removeprefix("method."): value for name, value in tensors.items() if name.startswith("method.")}
    method.load_state_dict(own, strict=False)  # a method's buffers are not stored; `check_fit` has seen every parameter
    return method.eval(), config, tensors


def _fixed_prompt(method: Method[Any]) -> Tensor | None:
    """Returns the prompt [P, H] of a method that only prepends one prompt, the same for all inputs."""
    if method.prompt_length == 0 or method.routed() is not None:
        return None
    with torch.no_grad():
        made = method.soft_prompt(torch.zeros(1, 1, method.geometry.hidden_size), torch.ones(1, 1, dtype=torch.bool))
    return None if made.text is not None else made.embeds[0].contiguous()


def _to_peft(method: Method[Any], config: AdapterConfig, tensors: dict[str, Tensor], out: Path) -> None:
    prompt = _fixed_prompt(method)
    if prompt is not None:
        return _write_prompt_tuning(prompt, method.geometry, config.base.name, out)
    layers = method.peft_layers()
    if layers is None:
        hint = "; use --to embeds" if method.routed() is not None else ""
        raise AdapterError(f"no method of peft gives the logits of {config.method}{hint}")
    return _write_layers(layers, method.geometry, config.base.name, tensors, out)


def _write_prompt_tuning(prompt: Tensor, geometry: Geometry, base: str, out: Path) -> None:
    from peft import PromptTuningConfig
    from safetensors.torch import save_file

    with whole_file(out / "adapter_model.safetensors") as temporary:
        save_file({"prompt_embeddings": prompt}, temporary)
    PromptTuningConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
        num_virtual_tokens=prompt.shape[0],
        token_dim=prompt.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=geometry.num_heads,
        num_layers=geometry.num_layers,
    ).save_pretrained(str(out))


def _write_layers(layers: Any, geometry: Geometry, base: str, tensors: dict[str, Tensor], out: Path) -> None:
    """Lets peft write its own format: its model without storage takes the trained tensors."""
    from peft import get_peft_model

    bare = meta_model(geometry.config)
    bare.name_or_path = base
    model = get_peft_model(bare, layers)
    for name, tensor in tensors.items():
        path, _, leaf = name.removeprefix("base.").rpartition(".")
        model.base_model.model.get_submodule(path)._parameters[leaf] = nn.Parameter(tensor)
    try:
        model.save_pretrained(str(out), save_embedding_layers=False)
    except (NotImplementedError, RuntimeError):
        raise AdapterError("this method also stores frozen random matrices, which peft must save itself") from None


def _to_embeds(method: Method[Any], config: AdapterConfig, _: dict[str, Tensor], out: Path) -> None:
    from safetensors.torch import save_file

    routed, prompt = method.routed(), _fixed_prompt(method)
    if routed is not None:
        stored = {"experts": routed.experts} | {f"router.{name}": value for name, value in routed.router.items()}
        rule = routed.rule
    elif prompt is not None:
        stored, rule = {"experts": prompt.unsqueeze(0)}, "one prompt for every input: expert 0"
    else:
        raise AdapterError(
            f"{config.method} is more than a prompt before the text, so prompt embeddings cannot hold it"
        )
    with whole_file(out / EMBEDS_FILE) as temporary:
        save_file({name: value.detach().float().contiguous() for name, value in stored.items()}, temporary)
    use = {
        "base": {"name": config.base.name, "revision": config.base.revision, "fingerprint": config.base.fingerprint},
        "shapes": {name: list(value.shape) for name, value in stored.items()},
        "rule": rule,
        "join": "put the prompt [P, H] right before the text's input embeddings, after any padding, and pass both as "
        "inputs_embeds (transformers) or prompt_embeds (vLLM); the prompt's positions are 0 to P - 1",
        "template": config.template,
    }
    write_json(out / USE_FILE, use)
