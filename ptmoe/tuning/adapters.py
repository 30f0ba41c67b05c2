"""An adapter on disk: the trained tensors in `adapter_model.safetensors`, the rest in `adapter_config.json`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ptmoe.base.hub import LOCAL, find_folder, fingerprint
from ptmoe.base.model import BaseInfo
from ptmoe.config.faults import first_fault
from ptmoe.config.fields import Name
from ptmoe.runtime.errors import AdapterError
from ptmoe.runtime.files import whole_file, write_json
from ptmoe.runtime.strict_json import parse_json

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
FORMAT = 1
_LIBRARIES = ("torch", "transformers", "peft", "safetensors")


def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that determine an adapter's values."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


@dataclass(frozen=True)
class AdapterConfig:
    """Everything that is needed to use an adapter.

    Attributes:
        task: empty outside the pipeline.
        template: how an example becomes text (`instruction`, `input`, `cue`, ...).
        init_text: text that soft prompts started from.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    method: Name
    params: dict[str, Any]
    base: BaseInfo
    trainable_parameters: int
    prompt_length: int
    task: str = ""
    template: dict[str, Any] = field(default_factory=dict)
    init_text: str = ""
    versions: dict[str, str] = field(default_factory=library_versions)
    format: int = FORMAT


def write_adapter(folder: Path, config: AdapterConfig, tensors: dict[str, Tensor]) -> None:
    """Writes an adapter folder; the config is written last, so a folder with a config is complete."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    with whole_file(folder / WEIGHTS_FILE) as temporary:
        save_file(tensors, temporary)
    write_json(folder / CONFIG_FILE, asdict(config))


def read_adapter_config(folder: Path) -> AdapterConfig:
    """Reads adapter_config.json; raises `AdapterError` where the folder is no adapter of this program, or damaged."""
    path = folder / CONFIG_FILE
    try:
        value = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise AdapterError(f"{path} is missing; give a folder that training or PromptedLM.save wrote") from None
    except ValueError as error:
        raise AdapterError(f"{path} is damaged ({error}); train the adapter again or copy it again") from None
    if isinstance(value, dict) and "peft_type" in value:
        raise AdapterError(f"{folder} is an adapter of the peft library; load it with peft.PeftModel")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        got = value.get("format") if isinstance(value, dict) else value
        raise AdapterError(f"{path} has format {got!r:.40}; this version of ptmoe reads format {FORMAT}")
    try:
        return TypeAdapter(AdapterConfig).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise AdapterError(f"{path} is damaged ({first_fault(error)}); copy it again or train again") from None


def read_adapter_tensors(folder: Path) -> dict[str, Tensor]:
    """Reads adapter_model.safetensors; raises `AdapterError` where it is missing, damaged or not finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise AdapterError(f"{path} is missing; train the adapter again or copy it again") from None
    except SafetensorError as error:
        raise AdapterError(f"{path} is damaged ({error}); train the adapter again or copy it again") from None
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise AdapterError(f"{path}: {name} ({tensor.dtype}) holds values that are not finite real numbers")
    return tensors


def read_adapter(folder: Path) -> tuple[AdapterConfig, dict[str, Tensor]]:
    """Reads an adapter whole; raises as the two readers of its files."""
    return read_adapter_config(folder), read_adapter_tensors(folder)


def base_of(config: AdapterConfig, folder: str | None = None, trust_remote_code: bool = False) -> BaseInfo:
    """Finds the base model of an adapter on this machine, and checks that its files are those of the training.

    Args:
        folder: the base's folder, if it is not the one that the adapter names.
        trust_remote_code: whether code that comes with the base may run; never taken from the adapter.

    Raises:
        AdapterError: the base needs code of its own, which the caller does not trust, or is another one.
        BaseModelError: there is no such base.
    """
    if config.base.trust_remote_code and not trust_remote_code:
        raise AdapterError(
            f"the base {config.base.name} runs code of its own; pass trust_remote_code (--trust-remote-code) if you "
            f"trust it"
        )
    name, revision = (folder, LOCAL) if folder else (config.base.name, config.base.revision)
    found, revision = find_folder(name, revision, trust_remote_code)
    info = replace(config.base, name=name, revision=revision, fingerprint=fingerprint(found))
    check_base(config, info)
    return info


def check_base(config: AdapterConfig, info: BaseInfo) -> None:
    """Raises `AdapterError` when an adapter was trained on another base model."""
    if config.base.fingerprint and info.fingerprint and config.base.fingerprint != info.fingerprint:
        raise AdapterError(
            f"the adapter was trained on {config.base.name} ({config.base.revision}, fingerprint "
            f"{config.base.fingerprint[:12]}), but this base is {info.name} ({info.revision}, fingerprint "
            f"{info.fingerprint[:12]}); load that base or train again"
        )


def check_tensors(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raises `AdapterError` when stored tensors are not those of the model: names first, then shapes."""
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or surplus:
        first = f"lacks {missing[0]}" if missing else f"holds {surplus[0]}, which the model does not have"
        raise AdapterError(
            f"the adapter {first} ({len(missing)} missing, {len(surplus)} too many); it fits another base or method"
        )
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            raise AdapterError(
                f"the adapter's {name} has shape {list(found[name].shape)}, the model needs {list(tensor.shape)}; "
                f"it belongs to another base model or other parameters"
            )
