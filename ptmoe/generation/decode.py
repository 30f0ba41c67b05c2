"""Greedy decoding of many rows: long rows first; new rows replace finished ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ptmoe.base.model import BaseInfo
from ptmoe.generation.answer import Answer
from ptmoe.generation.cache import merge_caches, merge_masks, slot_cache
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.errors import TrainingError
from ptmoe.runtime.progress import say
from ptmoe.tuning.prompted_lm import PromptedLM

REFILL_FRACTION = 8
"""New rows enter once one slot in this many is free: every entry copies the cache."""


@dataclass
class Flight:
    """Rows that are decoded together: [padding][soft prompt][text][answer so far].

    Attributes:
        answers: None where a row has ended.
        mask: [B, columns] 1 on what may be attended to.
        token: [B, 1] the last generated token; not yet in the cache.
        position: [B, 1] that token's position in its row.
    """

    answers: list[Answer | None]
    cache: Cache
    mask: Tensor
    token: Tensor
    position: Tensor

    @property
    def live(self) -> list[int]:
        return [index for index, answer in enumerate(self.answers) if answer is not None]


class Decoder:
    """Greedy decoding in which a row's answer does not depend on the other rows (exact in float32).

    Args:
        model: the base model with an adapter.
        info: has the tokens that end an answer, and the padding token.
        max_new_tokens: longest answer.
        max_batch_tokens: rows x (soft prompt + longest text + max_new_tokens) stays within this many tokens.
    """

    def __init__(self, model: PromptedLM, info: BaseInfo, max_new_tokens: int, max_batch_tokens: int) -> None:
        self._model, self._pad = model.eval(), info.pad_token_id
        self._ends, self._max_new, self._budget = frozenset(info.eos_token_ids), max_new_tokens, max_batch_tokens
        self._max_rows = self._attempted = max_batch_tokens
        self._device = next(model.parameters()).device

    def decode(self, rows: Sequence[Encoded], lengths: np.ndarray) -> Iterator[Answer]:
        """Yields every row's answer as it ends.

        Args:
            rows: prompts.
            lengths: [rows] their tokens.

        Raises:
            TrainingError: there is not enough memory for a single row.
        """
        waiting = deque(np.argsort(-lengths, kind="stable").tolist())
        flight: Flight | None = None
        while waiting or flight:
            try:
                with torch.no_grad():
                    flight, ended = self._turn(flight, waiting, rows, lengths)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                ended = None
            if ended is None:  # outside the handler, whose traceback still holds the tensors
                waiting.extendleft(answer.row for answer in reversed(flight.answers if flight else []) if answer)
                flight = None
                self._halve()
            else:
                yield from ended

    def _turn(
        self, flight: Flight | None, waiting: deque[int], rows: Sequence[Encoded], lengths: np.ndarray
    ) -> tuple[Flight | None, list[Answer]]:
        """Adds rows where enough slots are free, or else computes one token of every row."""
        live = flight.live if flight else []
        widest = [int(lengths[flight.answers[index].row]) for index in live] if flight else []  # type: ignore[union-attr]
        widest += [int(lengths[waiting[0]])] if waiting else []
        if not widest:
            return None, []
        capacity = self._budget // (max(widest) + self._model.method.prompt_length + self._max_new)
        capacity = max(1, min(capacity, self._max_rows))
        free = min(capacity - len(live), len(waiting))
        if free > 0 and (not live or free >= min(max(1, capacity // REFILL_FRACTION), len(waiting))):
            self._attempted = len(live) + free
            fresh, ended = self._prefill([rows[waiting[index]] for index in range(free)], list(waiting)[:free])
            flight = fresh if flight is None or not live else self._merge(flight, fresh)
            for _ in range(free):
                waiting.popleft()
            return flight, ended
        assert flight is not None
        if len(live) <= len(flight.answers) * (REFILL_FRACTION - 1) // REFILL_FRACTION:
            flight = self._merge(flight, None)
        self._attempted = len(live)
        return flight, self._step(flight)

    def _prefill(self, entering: list[Encoded], numbers: list[int]) -> tuple[Flight, list[Answer]]:
        """Reads prompts, routes them once, and generates the first token of each answer."""
        batch = collate(entering, self._pad, side="left", with_targets=False).to(self._device)
        joined = self._model.join(batch.input_ids, batch.attention_mask, batch.prompt_mask, batch.question_mask)
        cache = slot_cache()
        logits = self._model.base(
            inputs_embeds=joined.inputs_embeds,
            attention_mask=joined.attention_mask,
            position_ids=joined.position_ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        routing = joined.routing
        experts = [None] * len(numbers) if routing is None else routing.expert.tolist()
        gates = [None] * len(numbers) if routing is None else routing.probability.tolist()
        answers: list[Answer | None] = [Answer(*values) for values in zip(numbers, experts, gates, strict=True)]
        flight = Flight(
            answers, cache, joined.attention_mask.long(), joined.position_ids[:, -1:], joined.position_ids[:, -1:]
        )
        return flight, self._take(flight, logits)

    def _step(self, flight: Flight) -> list[Answer]:
        """Computes one token of every row."""
        flight.mask = torch.nn.functional.pad(flight.mask, (0, 1), value=1)
        logits = self._model.base(
            input_ids=flight.token,
            attention_mask=flight.mask,
            position_ids=flight.position,
            past_key_values=flight.cache,
            use_cache=True,
        ).logits
        return self._take(flight, logits)

    def _take(self, flight: Flight, logits: Tensor) -> list[Answer]:
        """Adds the likeliest token to every answer; returns the answers that end with it."""
        flight.token, flight.position = logits[:, -1].argmax(-1, keepdim=True), flight.position + 1
        ended = []
        for index, token in enumerate(flight.token[:, 0].tolist()):
            answer = flight.answers[index]
            if answer is not None:
                answer.tokens.append(token)
                answer.finished = self._is_end(answer, token)
                if answer.finished or len(answer.tokens) == self._max_new:
                    ended.append(answer)
                    flight.answers[index] = None
        return ended

    def _is_end(self, answer: Answer, token: int) -> bool:
        return token in self._ends

    def _merge(self, flight: Flight, fresh: Flight | None) -> Flight:
        """Removes finished rows and adds new ones."""
        live = flight.live
        kept = torch.tensor(live, device=self._device)
        columns = max(int(flight.mask[kept].sum(1).max()), fresh.mask.shape[1] if fresh else 0)
        merge_caches(flight.cache, kept, fresh.cache if fresh else None, columns)
        others = [fresh] if fresh else []
        return Flight(
            [flight.answers[index] for index in live] + [answer for other in others for answer in other.answers],
            flight.cache,
            merge_masks(flight.mask, kept, fresh.mask if fresh else None, columns),
            torch.cat([flight.token[kept], *(other.token for other in others)]),
            torch.cat([flight.position[kept], *(other.position for other in others)]),
        )

    def _halve(self) -> None:
        if self._attempted <= 1:
            raise TrainingError(
                "not enough memory to decode a single row; use a smaller base model, a lower max_length or "
                "max_new_tokens, or dtype bfloat16"
            )
        self._max_rows = self._attempted // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        say(f"  out of memory with {self._attempted} rows at once; continuing with {self._max_rows}")


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
