"""The frozen base model: a small prepared folder of facts and tokenizer; weights are loaded from their own place."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ptmoe.base.geometry import Geometry
from ptmoe.base.gguf import SUFFIX, write_base
from ptmoe.base.hub import LOCAL, TOKENIZER_FILES, find_folder, fingerprint
from ptmoe.config.faults import first_fault
from ptmoe.runtime.errors import BaseModelError, first_line
from ptmoe.runtime.files import write_json
from ptmoe.runtime.imports import lasting_imports

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ptmoe.config.params import BaseParams

INFO_FILE = "base.json"
Dtype = Literal["float32", "bfloat16", "float16", "float64"]
# transformers takes any other name for a kernel on the Hub, whose code it runs.
Attention = Literal["sdpa", "eager", "flash_attention_2"]


@dataclass(frozen=True)
class BaseInfo:
    """Which base model this is and how to run it; all is checked on reading, for adapters come from others.

    Attributes:
        revision: the full Hub commit, or `local`.
        fingerprint: SHA-256 over config and weights; empty where the model was never on disk.
        eos_token_ids: any of these ends an answer.
        parameters: weights of the whole model.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    revision: str
    fingerprint: str
    dtype: Dtype
    attention: Attention
    trust_remote_code: bool
    pad_token_id: int
    eos_token_ids: list[int]
    parameters: int

    @classmethod
    def of_model(cls, base: PreTrainedModel, parameters: int) -> Self:
        """Describes a model in memory from its config; `parameters` is the number of its own weights."""
        config, generation = base.config, base.generation_config
        eos = _as_list(getattr(generation, "eos_token_id", None) or getattr(config, "eos_token_id", None))
        pad = getattr(generation, "pad_token_id", None)
        pad = getattr(config, "pad_token_id", None) if pad is None else pad
        used = config._attn_implementation
        return cls(
            name=config.name_or_path or "",
            revision=getattr(config, "_commit_hash", None) or LOCAL,
            fingerprint="",
            dtype=cast(Dtype, str(base.dtype).removeprefix("torch.")),
            attention=cast(Attention, used if used in get_args(Attention) else "sdpa"),
            trust_remote_code=False,
            pad_token_id=pad if pad is not None else (eos or [0])[0],
            eos_token_ids=eos,
            parameters=parameters,
        )

    def check_ids(self, vocabulary: int) -> None:
        """Raises `BaseModelError` unless answers can end and every id that is fed or awaited is a token."""
        wrong = [each for each in (self.pad_token_id, *self.eos_token_ids) if not 0 <= each < vocabulary]
        if wrong or not self.eos_token_ids:
            ids = f"pad {self.pad_token_id}, end {self.eos_token_ids}"
            raise BaseModelError(f"base {self.name}: {ids}; allowed: at least one end token, ids below {vocabulary}")


def _as_list(ids: Any) -> list[int]:
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else list(ids)


def prepare_base(params: BaseParams, out: Path) -> None:
    """Writes base.json, config and tokenizer of a base model to `out`; downloads the weights where they are missing.

    Of a GGUF file `out` also holds the weights, in the precision asked for.

    Raises:
        BaseModelError: the model cannot be found or lacks a file that is needed.
    """
    name = params.name
    if name.endswith(SUFFIX):
        write_base(Path(name), out, params.dtype)
        name = out.as_posix()
    folder, revision = find_folder(name, params.revision, params.trust_remote_code)
    print_of_weights = fingerprint(folder)
    out.mkdir(parents=True, exist_ok=True)
    if folder != out:
        copy_tokenizer(folder, out, params.trust_remote_code)
    tokenizer = _tokenizer(out, params.trust_remote_code)
    eos = _eos_token_ids(out, tokenizer)
    info = BaseInfo(
        name=name,
        revision=revision,
        fingerprint=print_of_weights,
        dtype=params.dtype,
        attention=params.attention,
        trust_remote_code=params.trust_remote_code,
        pad_token_id=[*_as_list(tokenizer.pad_token_id), *eos][0],
        eos_token_ids=eos,
        parameters=Geometry.from_config(out).parameters,
    )
    write_json(out / INFO_FILE, asdict(info))


def copy_tokenizer(folder: Path, out: Path, with_code: bool = False) -> None:
    """Copies config, generation config and tokenizer of a base model, and its code where that may run."""
    for pattern in (*TOKENIZER_FILES, *(["*.py"] if with_code else [])):
        for path in sorted(folder.glob(pattern)):
            if not path.name.endswith(".index.json"):
                shutil.copyfile(path, out / path.name)


def _eos_token_ids(folder: Path, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Collects the end tokens of generation config, config and tokenizer (chat models end a turn with their own)."""
    ids: list[int] = []
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            ids += _as_list(json.loads((folder / name).read_text(encoding="utf-8")).get("eos_token_id"))
    ids = list(dict.fromkeys([*ids, *_as_list(tokenizer.eos_token_id)]))
    if not ids:
        raise BaseModelError(f"{folder}: neither config nor tokenizer names an end token, so answers would not end")
    return ids


def read_base_info(base_dir: Path) -> BaseInfo:
    """Reads base.json; raises `BaseModelError` where `prepare_base` did not write the folder."""
    path = base_dir / INFO_FILE
    try:
        return TypeAdapter(BaseInfo).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise BaseModelError(f"{path} is missing; run `dvc repro base`") from None
    except ValidationError as error:
        raise BaseModelError(f"{path} is damaged ({first_fault(error)}); run `dvc repro -f base`") from None


def load_base(base_dir: Path) -> PreTrainedModel:
    """Loads the model that a folder of `prepare_base` describes; raises as `open_base`."""
    return open_base(read_base_info(base_dir))


def open_base(info: BaseInfo) -> PreTrainedModel:
    """Loads a base model, frozen and in eval mode.

    Raises:
        BaseModelError: the weights are gone or cannot be loaded as asked.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    folder, _ = find_folder(info.name, info.revision, info.trust_remote_code)
    # A progress bar belongs on a terminal, not in the log of a stage.
    bars = logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        model = _model_class(folder, info.trust_remote_code).from_pretrained(
            folder,
            dtype=info.dtype,
            attn_implementation=info.attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=info.trust_remote_code,
        )
    except (ImportError, OSError, ValueError, SafetensorError) as error:
        raise BaseModelError(
            f"base model {info.name} cannot be loaded with dtype {info.dtype}, attention {info.attention}: "
            f"{first_line(error)}"
        ) from None
    finally:
        if bars:
            logging.enable_progress_bar()
    return model.requires_grad_(False).eval()


def import_base(base_dir: Path) -> None:
    """Imports what it takes to load the model that a folder of `prepare_base` describes; raises as `open_base`."""
    info = read_base_info(base_dir)
    folder, _ = find_folder(info.name, info.revision, info.trust_remote_code)
    _model_class(folder, info.trust_remote_code)


@lasting_imports()
def _model_class(folder: Path, with_code: bool) -> Any:
    """Imports the one class that the config names: importing all of transformers' auto classes takes seconds."""
    import transformers

    names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or [""]
    if not with_code and names[0].endswith(("ForCausalLM", "LMHeadModel")) and hasattr(transformers, names[0]):
        return getattr(transformers, names[0])
    return transformers.AutoModelForCausalLM


def load_tokenizer(base_dir: Path) -> PreTrainedTokenizerBase:
    """Loads the tokenizer from a folder of `prepare_base`; raises `BaseModelError` where there is no usable one."""
    return _tokenizer(base_dir, read_base_info(base_dir).trust_remote_code)


def base_tokenizer(info: BaseInfo) -> PreTrainedTokenizerBase:
    """Loads the tokenizer from the folder of the base's weights; raises as `load_tokenizer`."""
    folder, _ = find_folder(info.name, info.revision, info.trust_remote_code)
    return _tokenizer(folder, info.trust_remote_code)


def _tokenizer(folder: Path, with_code: bool) -> PreTrainedTokenizerBase:
    with lasting_imports():
        from transformers import AutoTokenizer
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=with_code)
    except (OSError, ValueError, ImportError) as error:
        raise BaseModelError(f"the tokenizer of {folder} cannot be loaded: {first_line(error)}") from None
