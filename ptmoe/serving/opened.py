"""Adapters that are open to answer: each with its template, over one base model in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ptmoe.base.compute import make_accelerator, prepare_torch_for
from ptmoe.config.params import TemplateParams
from ptmoe.runtime.errors import AdapterError
from ptmoe.tuning.adapters import AdapterConfig, base_of, read_adapter_config

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedTokenizerBase

    from ptmoe.base.model import BaseInfo
    from ptmoe.encoding.encoder import PromptEncoder
    from ptmoe.tuning.prompted_lm import PromptedLM

UNLIMITED_POSITIONS = 8192


@dataclass(frozen=True)
class Limits:
    """Tokens of an answer, of a prompt (None: all that the base reads), and of all rows decoded at once."""

    max_new_tokens: int
    max_length: int | None
    max_batch_tokens: int


@dataclass(frozen=True)
class Opened:
    """An adapter that can answer.

    Attributes:
        encoder: fills the adapter's own template.
        max_length: tokens that the encoder leaves of a prompt.
        takes_context: whether the template has a place for a context.
    """

    folder: Path
    config: AdapterConfig
    model: PromptedLM
    encoder: PromptEncoder
    max_length: int
    takes_context: bool


@dataclass(frozen=True)
class House:
    """One base model and all adapters that are open on it.

    Attributes:
        adapters: by the name that a user calls them.
    """

    limits: Limits
    adapters: dict[str, Opened]
    info: BaseInfo
    tokenizer: PreTrainedTokenizerBase
    accelerator: Accelerator


def named_adapters(given: Sequence[str]) -> dict[str, Path]:
    """Reads `NAME=DIR` or `DIR`, whose name is that of the folder.

    Raises:
        AdapterError: two adapters have one name.
    """
    folders: dict[str, Path] = {}
    for text in given:
        name, found, folder = text.partition("=")
        if not found or Path(text).is_dir():
            name, folder = Path(text).resolve().name, text
        if not name or name in folders:
            raise AdapterError(f"--adapter {text}: the name {name!r} is taken or empty; give another as NAME=DIR")
        folders[name] = Path(folder)
    return folders


def open_house(
    folders: Mapping[str, Path], limits: Limits, base: str | None = None, trust_remote_code: bool = False
) -> House:
    """Loads adapters of one base model, and what turns questions into their prompts.

    Args:
        folders: name -> adapter folder.
        limits: of answers and prompts.
        base: folder of the base model, if it is not where training found it.
        trust_remote_code: whether code that comes with the base model may run.

    Raises:
        AdapterError: an adapter is damaged, has no template, or does not fit the base of the first one.
        BaseModelError: the base model cannot be found or loaded.
    """
    configs = {name: read_adapter_config(folder) for name, folder in folders.items()}
    templates = {name: _template_of(config, folders[name]) for name, config in configs.items()}
    info = base_of(next(iter(configs.values())), base, trust_remote_code)
    prepare_torch_for(info.parameters)
    from ptmoe.base.model import base_tokenizer
    from ptmoe.encoding.encoder import PromptEncoder
    from ptmoe.encoding.templates import Template
    from ptmoe.tuning.opening import open_adapters

    accelerator = make_accelerator()
    models, tokenizer = open_adapters(folders, info, accelerator.device), base_tokenizer(info)
    adapters = {}
    for name, model in models.items():
        positions = model.method.geometry.max_positions or UNLIMITED_POSITIONS
        length = limits.max_length or positions - model.method.prompt_length - limits.max_new_tokens
        encoder = PromptEncoder(tokenizer, templates[name], length, info.eos_token_ids)
        takes_context = Template(templates[name]).takes_context
        adapters[name] = Opened(folders[name], configs[name], model, encoder, length, takes_context)
    return House(limits, adapters, info, tokenizer, accelerator)


def _template_of(config: AdapterConfig, adapter: Path) -> TemplateParams:
    try:
        return TemplateParams(**config.template)
    except (ValidationError, TypeError):
        raise AdapterError(
            f"{adapter} holds no usable template; save it with note={{'template': ...}} (instruction, input, cue)"
        ) from None
