"""The embeddings of a task's text, from which soft prompts start."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ptmoe.base.model import load_base, load_tokenizer
from ptmoe.runtime.errors import BaseModelError, first_line
from ptmoe.runtime.files import whole_file
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RANDOM_TOKENS = 256


def embed_text(text: str, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[torch.Tensor, list[int]]:
    """Returns the float32 embeddings [n, H] of a text, and its token ids [n], of which none is a special token.

    Raises:
        BaseModelError: the tokenizer makes no token of the text.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise BaseModelError(f"the base's tokenizer makes no token of init_text {text!r}; give another text")
    return _embedded(ids, base), ids


def embed_random(vocab_size: int, base: PreTrainedModel) -> torch.Tensor:
    """Returns the float32 embeddings [256, H] of tokens that torch's global generator draws."""
    import torch

    return _embedded(torch.randint(vocab_size, (RANDOM_TOKENS,)).tolist(), base)


def _embedded(ids: list[int], base: PreTrainedModel) -> torch.Tensor:
    import torch

    with torch.no_grad():
        return base.get_input_embeddings()(torch.tensor(ids, device=base.device)).float()


def write_text_init(init_text: str, base_dir: Path, out: Path) -> None:
    """Writes `text_embeddings` [n, H] and `token_ids` [n].

    Each method cuts or repeats the text to its prompt length before it takes the singular value decomposition, so
    none could use that of the whole text.

    Raises:
        BaseModelError: the base cannot be loaded, or makes no token of the text.
    """
    import torch
    from safetensors.torch import save_file

    from ptmoe.tuning.svd import decompose, numerical_rank

    embeds, ids = embed_text(init_text, load_base(base_dir), load_tokenizer(base_dir))
    with whole_file(out) as temporary:
        tensors = {"text_embeddings": embeds.contiguous(), "token_ids": torch.tensor(ids)}
        # One entry: safetensors writes several in an order that differs from call to call.
        save_file(tensors, temporary, metadata={"sha256 and text": f"{_digest(init_text, tensors)} {init_text}"})
    rank = numerical_rank(decompose(embeds)[1], *embeds.shape)
    say(f"{out.stem}: {len(ids)} tokens of init text, {len(set(ids))} distinct, rank {rank}")


def read_text_init(path: Path) -> tuple[str, torch.Tensor]:
    """Returns the text and its float32 embeddings [n, H]; raises `BaseModelError` unless they are as written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            expected, _, text = (file.metadata() or {}).get("sha256 and text", "none").partition(" ")
            tensors = {name: file.get_tensor(name) for name in ("text_embeddings", "token_ids")}
    except FileNotFoundError:
        raise BaseModelError(f"{path} is missing; run `dvc repro init@{path.stem}`") from None
    except SafetensorError as error:
        raise BaseModelError(f"{path} is damaged ({first_line(error)}); run `dvc repro init@{path.stem}`") from None
    if (found := _digest(text, tensors)) != expected:
        raise BaseModelError(
            f"{path} changed since it was written: the SHA-256 of its content is {found}, it states {expected}; "
            f"run `dvc repro init@{path.stem}`"
        )
    return text, tensors["text_embeddings"]


def _digest(text: str, tensors: dict[str, torch.Tensor]) -> str:
    """Returns the SHA-256 of a text and of names, types, shapes and values of tensors."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
