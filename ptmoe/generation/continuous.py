"""Greedy decoding by transformers' continuous batching: a paged cache, and CUDA graphs on a GPU.

That engine takes token ids alone, so each row's soft prompt becomes tokens of its own, after those of the vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptmoe.generation.answer import Answer
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.errors import BaseModelError
from ptmoe.tuning.method import Routing
from ptmoe.tuning.prompted_lm import PromptedLM

CHUNK_ROWS = 1024
"""Rows whose soft prompts are in memory at once."""
JOIN_ROWS = 64
PAGE_TOKENS = 64
SERVED_ATTENTION = ("sdpa", "eager", "flash_attention_2")
WAIT_S = 1.0


class ExtendedEmbedding(nn.Module):
    """An embedding whose ids from the size of the vocabulary on are soft prompt tokens.

    Args:
        table: the base model's own embedding, whatever it does to its rows.
        prompts: [B * P, H].
    """

    def __init__(self, table: nn.Module, prompts: Tensor, vocabulary: int) -> None:
        super().__init__()
        self.table, self.vocabulary = table, vocabulary
        self.prompts = nn.Parameter(prompts, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Returns embeddings [..., H] of ids [...]."""
        is_text = ids < self.vocabulary
        text = self.table(torch.where(is_text, ids, 0))
        prompt = F.embedding((ids - self.vocabulary).clamp(min=0), self.prompts)
        return torch.where(is_text.unsqueeze(-1), text, prompt)


class ContinuousDecoder:
    """Decodes with the same answers as `Decoder` (float32) on the engine of transformers.

    Args:
        model, end_tokens, pad_token_id, max_new_tokens: as of `Decoder`.
        max_batch_tokens: size of the paged cache in tokens.

    Raises:
        BaseModelError: the method does more than put tokens before the text and change linear layers.
    """

    def __init__(
        self, model: PromptedLM, end_tokens: list[int], pad_token_id: int, max_new_tokens: int, max_batch_tokens: int
    ) -> None:
        self._model, self._pad, self._max_new = model.eval(), pad_token_id, max_new_tokens
        self._ends, self._budget = end_tokens, max_batch_tokens
        self._device = next(model.parameters()).device
        attention = model.base.config._attn_implementation
        if attention not in SERVED_ATTENTION:
            raise self._unsuited(f"changes the attention to {attention}")

    def _unsuited(self, reason: str) -> BaseModelError:
        name = self._model.method.name()
        return BaseModelError(f"engine transformers cannot decode {name}, which {reason}; use engine: ptmoe")

    def decode(self, rows: Sequence[Encoded], lengths: np.ndarray) -> Iterator[Answer]:
        """Yields every row's answer as it ends; arguments as of `Decoder.decode`."""
        order = np.argsort(-lengths, kind="stable").tolist()
        for start in range(0, len(order), CHUNK_ROWS):
            numbers = order[start : start + CHUNK_ROWS]
            yield from self._decode_chunk([rows[number] for number in numbers], numbers)

    @torch.no_grad()
    def _prompts(self, rows: list[Encoded]) -> tuple[Tensor, list[Routing | None]]:
        """Returns the rows' soft prompts [B, P, H] and how each part of them was routed."""
        embedding, method = self._model.base.get_input_embeddings(), self._model.method
        made, routings = [], []
        for start in range(0, len(rows), JOIN_ROWS):
            batch = collate(rows[start : start + JOIN_ROWS], self._pad, with_targets=False).to(self._device)
            seen = batch.question_mask if method.router_input == "question" else batch.prompt_mask
            embeds = embedding(batch.input_ids)
            prompt = method.soft_prompt(embeds, seen)
            if prompt.text is not None:
                raise self._unsuited("changes the embeddings of the text")
            made.append(prompt.embeds.to(embeds.dtype))
            routings.append(prompt.routing)
        return torch.cat(made), routings

    def _decode_chunk(self, rows: list[Encoded], numbers: list[int]) -> Iterator[Answer]:
        prompts, routings = self._prompts(rows)
        experts = [e for routing in routings if routing is not None for e in routing.expert.tolist()]
        gates = [g for routing in routings if routing is not None for g in routing.probability.tolist()]
        vocabulary, length = self._model.base.config.get_text_config().vocab_size, prompts.shape[1]
        requests = [
            [*range(first, first + length), *row.input_ids[: row.prompt_length].tolist()]
            for first, row in zip(itertools.count(vocabulary, length), rows, strict=False)
        ]
        with extended(self._model.base, prompts.flatten(0, 1), vocabulary), self._engine(requests) as manager:
            waiting = {name: place for place, name in enumerate(self._submit(manager, requests, numbers))}
            while waiting:
                result = manager.get_result(timeout=WAIT_S)
                if result is None and not manager.is_running():
                    raise BaseModelError("transformers' continuous batching broke off; use engine: ptmoe")
                if result is None or not result.is_finished():
                    continue
                if result.error is not None:
                    raise BaseModelError(f"transformers' continuous batching: {result.error}; use engine: ptmoe")
                place, tokens = waiting.pop(result.request_id), list(result.generated_tokens)
                routed = (experts[place], gates[place]) if experts else (None, None)
                yield Answer(numbers[place], *routed, tokens, tokens[-1] in self._ends)

    def _submit(self, manager: Any, requests: list[list[int]], numbers: list[int]) -> list[str]:
        """Hands rows over and returns the engine's names for them."""
        return manager.add_requests(inputs=requests)

    def _engine(self, requests: list[list[int]]) -> Any:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        longest = max(map(len, requests)) + self._max_new
        greedy = GenerationConfig(
            do_sample=False, max_new_tokens=self._max_new, eos_token_id=self._ends, pad_token_id=self._pad
        )
        paged = ContinuousBatchingConfig(
            page_size=PAGE_TOKENS,
            num_blocks=-(-max(self._budget, 2 * longest) // PAGE_TOKENS),
            max_batch_tokens=max(longest, min(self._budget, 8192)),
        )
        base: Any = self._model.base
        return base.continuous_batching_context_manager(
            generation_config=greedy, continuous_batching_config=paged, block=True, warmup=self._device.type == "cuda"
        )


@contextmanager
def extended(base: Any, prompts: Tensor, vocabulary: int) -> Iterator[None]:
    """Gives the base model an embedding with soft prompts [B * P, H], and then its own again."""
    table = base.get_input_embeddings()
    if len(prompts):
        base.set_input_embeddings(ExtendedEmbedding(table, prompts, vocabulary))
    try:
        yield
    finally:
        base.set_input_embeddings(table)
