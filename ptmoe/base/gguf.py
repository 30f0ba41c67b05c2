"""Base models from GGUF, the one-file form of llama.cpp: read by transformers, written as a Hub-form folder."""

from __future__ import annotations

import io
import math
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptmoe.runtime.errors import BaseModelError, first_line
from ptmoe.runtime.files import sha256_of, whole_folder, write_text

SUFFIX = ".gguf"
MAGIC = b"GGUF"
_BYTES_A_WEIGHT = {"float32": 4, "bfloat16": 2, "float16": 2}
# Room for the tokenizer, in bytes.
_TOKENIZER_ROOM = 32 << 20


@dataclass(frozen=True)
class GgufFacts:
    """What a GGUF file says of itself.

    Attributes:
        licence: a name such as `apache-2.0`; empty where the file states none.
        weights: numbers in all tensors.
    """

    architecture: str
    licence: str
    weights: int


def read_gguf(path: Path) -> GgufFacts:
    """Reads a file's facts and checks that all of its tensors are there.

    Raises:
        BaseModelError: the package `gguf` is missing, or the file is absent, truncated or no GGUF.
    """
    if not path.is_file():
        raise BaseModelError(f"{path} is not a file; give a .gguf file")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BaseModelError(f"{path} is not a GGUF file: it does not begin with {MAGIC.decode()}")
    try:
        from gguf import GGUFReader
    except ImportError:
        raise BaseModelError(f"{path} needs the package gguf; run `pip install 'ptmoe[gguf]'`") from None
    try:
        reader = GGUFReader(path)
        fields = {key: reader.fields[key].contents() for key in reader.fields if key.startswith("general.")}
        architecture = str(fields["general.architecture"])
        return GgufFacts(
            architecture=architecture,
            licence=str(fields.get("general.license", "")),
            weights=sum(math.prod(map(int, tensor.shape)) for tensor in reader.tensors),
        )
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise BaseModelError(f"{path} is truncated or damaged ({first_line(error):.200}); fetch it again") from None


def gguf_config(path: Path) -> dict[str, Any]:
    """Returns the config that transformers makes of a GGUF file; raises as `write_base`."""
    facts = read_gguf(path)
    from transformers import AutoConfig

    with _explained(path, facts):
        return AutoConfig.from_pretrained(path.parent, gguf_file=path.name).to_dict()


def import_gguf(path: Path, folder: Path, dtype: str) -> None:
    """Writes a GGUF file as a new Hub-form folder, whole or not at all; raises as `write_base`, or if it exists."""
    if folder.exists():
        raise BaseModelError(f"{folder} exists; give a folder that is not there yet, or remove it")
    with whole_folder(folder) as made:
        write_base(path, made, dtype)


def write_base(path: Path, folder: Path, dtype: str) -> None:
    """Writes config, weights in `dtype`, tokenizer, chat template, generation config and a card to `folder`.

    Raises:
        BaseModelError: as `read_gguf`; or transformers does not read the architecture, or the disk has no room.
    """
    facts = read_gguf(path)
    needed = facts.weights * _BYTES_A_WEIGHT[dtype] + _TOKENIZER_ROOM
    folder.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(folder).free) < needed:
        raise BaseModelError(
            f"{path} takes {needed / 1e9:.1f} GB as {dtype}, but {folder.parent} has {free / 1e9:.1f} GB; make room"
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _explained(path, facts):
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        read = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=getattr(torch, dtype))
        # transformers refuses to save a model that it read from GGUF, so its weights move to one that was not.
        vars(read.config).pop("quantization_config", None)
        with torch.device("meta"):
            model = type(read)(read.config)
        model.load_state_dict(read.state_dict(), assign=True)
        model.tie_weights()
        model.generation_config = read.generation_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    write_text(folder / "README.md", _card(path, facts, dtype))


def _card(path: Path, facts: GgufFacts, dtype: str) -> str:
    head = f"---\nlicense: {facts.licence}\n---\n" if facts.licence else ""
    return (
        f"{head}# {path.stem}\n\n"
        f"| | |\n|---|---|\n"
        f"| source | {path.name} |\n"
        f"| SHA-256 of the source | {sha256_of(path)} |\n"
        f"| architecture | {facts.architecture} |\n"
        f"| licence | {facts.licence or 'not stated in the file'} |\n"
        f"| weights | {dtype}; a quantised source stays as coarse as it was |\n"
    )


@contextmanager
def _explained(path: Path, facts: GgufFacts) -> Iterator[None]:
    """Turns what transformers raises into one sentence; its bars are shown on a terminal only."""
    try:
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            yield
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, ImportError) as error:
        raise BaseModelError(
            f"{path}: transformers cannot read a causal language model of architecture {facts.architecture!r} "
            f"from it ({first_line(error):.200})"
        ) from None
