"""The embeddings of a task's text, from which soft prompts start, and their singular value decomposition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptmoe.base.model import load_base, load_tokenizer
from ptmoe.runtime.errors import BaseModelError
from ptmoe.runtime.files import whole_file
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def embed_text(text: str, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[torch.Tensor, list[int]]:
    """Returns the float32 embeddings [n, H] of a text, as the first layer would see them, and its token ids.

    No special tokens are added, and the text is neither cut nor repeated: that is the method's part.

    Raises:
        BaseModelError: the tokenizer makes no token of the text.
    """
    import torch

    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise BaseModelError(f"the base's tokenizer makes no token of init_text {text!r}; give another text")
    embedding = base.get_input_embeddings()
    with torch.no_grad():
        return embedding(torch.tensor(ids, device=base.device)).float(), ids


def write_text_init(init_text: str, base_dir: Path, out: Path) -> None:
    """Writes `text_embeddings` [n, H] with its full-rank SVD `U` [n, k], `S` [k], `Vh` [k, H], and `token_ids` [n].

    Raises:
        BaseModelError: the base cannot be loaded, or makes no token of the text.
    """
    import torch
    from safetensors.torch import save_file

    from ptmoe.tuning.svd import decompose

    embeds, ids = embed_text(init_text, load_base(base_dir), load_tokenizer(base_dir))
    u, s, vh = decompose(embeds)
    tensors = {"text_embeddings": embeds, "U": u, "S": s, "Vh": vh, "token_ids": torch.tensor(ids)}
    with whole_file(out) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    rank = int((s > s[0] * len(s) * torch.finfo(s.dtype).eps).sum())
    say(f"{out.stem}: {len(ids)} tokens of init text, {len(set(ids))} distinct, rank {rank}")


def read_text_init(path: Path) -> torch.Tensor:
    """Returns the text's embeddings [n, H] in float32.

    Raises:
        BaseModelError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return file.get_tensor("text_embeddings")
    except FileNotFoundError:
        raise BaseModelError(f"{path} is missing; run `dvc repro init`") from None
    except SafetensorError:
        raise BaseModelError(f"{path} is damaged; run `dvc repro -f init`") from None
