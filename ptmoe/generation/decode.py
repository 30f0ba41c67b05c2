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
from ptmoe.tuning.joining import Joined
from ptmoe.tuning.prompted_lm import PromptedLM

REFILL_FRACTION = 8
"""New rows enter once one slot in this many is free: every entry copies the cache."""


@dataclass(eq=False)
class Ask:
    """A row that waits for its answer, or whose answer grows.

    Attributes:
        row: the prompt.
        model: makes the row's soft prompt; its base is the decoder's.
        answer: starts anew when the prompt is read.
        max_new_tokens: longest answer.
    """

    row: Encoded
    model: PromptedLM
    answer: Answer
    max_new_tokens: int

    @property
    def width(self) -> int:
        return self.row.prompt_length + self.model.method.prompt_length + self.max_new_tokens


@dataclass
class Flight:
    """Rows that are decoded together: [padding][soft prompt][text][answer so far].

    Attributes:
        asks: None where a row has ended.
        mask: [B, columns] 1 on what may be attended to.
        token: [B, 1] the last generated token; not yet in the cache.
        position: [B, 1] that token's position in its row.
    """

    asks: list[Ask | None]
    cache: Cache
    mask: Tensor
    token: Tensor
    position: Tensor

    @property
    def live(self) -> list[int]:
        return [index for index, ask in enumerate(self.asks) if ask is not None]


class Decoder:
    """Greedy decoding in which a row's answer does not depend on the other rows (exact in float32).

    Args:
        model: the base model with an adapter.
        info: has the tokens that end an answer, and the padding token.
        max_new_tokens: longest answer.
        max_batch_tokens: rows x (soft prompt + longest text + max_new_tokens) stays within this many tokens.

    Attributes:
        waiting: rows that enter in this order; more may be appended between two turns.
    """

    def __init__(self, model: PromptedLM, info: BaseInfo, max_new_tokens: int, max_batch_tokens: int) -> None:
        self._model, self._pad = model.eval(), info.pad_token_id
        self._ends, self._max_new, self._budget = frozenset(info.eos_token_ids), max_new_tokens, max_batch_tokens
        self._max_rows = self._attempted = max_batch_tokens
        self._device = next(model.parameters()).device
        self.waiting: deque[Ask] = deque()
        self._flight: Flight | None = None

    def decode(self, rows: Sequence[Encoded], lengths: np.ndarray) -> Iterator[Answer]:
        """Yields every row's answer as it ends.

        Args:
            rows: prompts.
            lengths: [rows] their tokens.

        Raises:
            TrainingError: there is not enough memory for a single row.
        """
        self.clear()
        order = np.argsort(-lengths, kind="stable").tolist()
        self.waiting.extend(Ask(rows[n], self._model, Answer(n, None, None), self._max_new) for n in order)
        while self.busy:
            for ask in self.turn():
                yield ask.answer

    @property
    def live(self) -> list[Ask]:
        """The rows that are being answered."""
        flight = self._flight  # another thread may ask
        return [ask for ask in flight.asks if ask is not None] if flight else []

    @property
    def busy(self) -> bool:
        """Whether a turn has anything to do."""
        return bool(self.waiting or self.live)

    def clear(self) -> None:
        """Forgets all rows."""
        self.waiting.clear()
        self._flight = None

    def drop(self, ask: Ask) -> None:
        """Forgets a row that nobody waits for; its slot is free for the next one."""
        if ask in self.waiting:
            self.waiting.remove(ask)
        elif self._flight:
            self._flight.asks = [None if each is ask else each for each in self._flight.asks]

    def turn(self) -> list[Ask]:
        """Adds rows where enough slots are free, or else computes one token of every row; returns rows that end.

        Raises:
            TrainingError: there is not enough memory for a single row.
        """
        try:
            with torch.no_grad():
                return self._turn()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        # Outside the handler, whose traceback still holds the tensors.
        self.waiting.extendleft(reversed(self.live))
        self._flight = None
        self._halve()
        return []

    def _turn(self) -> list[Ask]:
        flight, live = self._flight, self.live
        free, capacity = self._room(live)
        if free and (not live or free >= min(max(1, capacity // REFILL_FRACTION), len(self.waiting))):
            self._attempted = len(live) + free
            fresh, ended = self._prefill(list(self.waiting)[:free])
            self._flight = fresh if flight is None or not live else self._merge(flight, fresh)
            for _ in range(free):
                self.waiting.popleft()
            return ended
        if flight is None or not live:
            self._flight = None
            return []
        if len(live) <= len(flight.asks) * (REFILL_FRACTION - 1) // REFILL_FRACTION:
            self._flight = flight = self._merge(flight, None)
        self._attempted = len(live)
        return self._step(flight)

    def _room(self, live: list[Ask]) -> tuple[int, int]:
        """Counts the waiting rows that may enter, and the rows that there is room for at their width."""
        widest = max((ask.width for ask in live), default=0)
        free = capacity = 0
        for ask in self.waiting:
            widest = max(widest, ask.width)
            capacity = max(1, min(self._budget // widest, self._max_rows))
            if len(live) + free >= capacity:
                break
            free += 1
        return free, capacity

    def _prefill(self, entering: list[Ask]) -> tuple[Flight, list[Ask]]:
        """Reads prompts, routes them once, and generates the first token of each answer."""
        groups: dict[PromptedLM, list[Ask]] = {}
        for ask in entering:
            groups.setdefault(ask.model, []).append(ask)
        joined = _side_by_side([self._join(model, asks) for model, asks in groups.items()])
        cache = slot_cache()
        logits = self._model.base(
            inputs_embeds=joined.inputs_embeds,
            attention_mask=joined.attention_mask,
            position_ids=joined.position_ids,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        last = joined.position_ids[:, -1:]
        flight = Flight([ask for asks in groups.values() for ask in asks], cache, joined.attention_mask, last, last)
        return flight, self._take(flight, logits)

    def _join(self, model: PromptedLM, asks: list[Ask]) -> Joined:
        """Makes the soft prompts of one model's rows."""
        batch = collate([ask.row for ask in asks], self._pad, side="left", with_targets=False).to(self._device)
        joined = model.join(batch.input_ids, batch.attention_mask, batch.prompt_mask, batch.question_mask)
        routing = joined.routing
        experts = [None] * len(asks) if routing is None else routing.expert.tolist()
        gates = [None] * len(asks) if routing is None else routing.probability.tolist()
        for ask, expert, gate in zip(asks, experts, gates, strict=True):
            ask.answer = Answer(ask.answer.row, expert, gate)
        return joined

    def _step(self, flight: Flight) -> list[Ask]:
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

    def _take(self, flight: Flight, logits: Tensor) -> list[Ask]:
        """Adds the likeliest token to every answer; returns the rows that end with it."""
        flight.token, flight.position = logits[:, -1].argmax(-1, keepdim=True), flight.position + 1
        ended = []
        for index, token in enumerate(flight.token[:, 0].tolist()):
            ask = flight.asks[index]
            if ask is not None:
                answer = ask.answer
                answer.tokens.append(token)
                answer.finished = self._is_end(answer, token)
                if answer.finished or len(answer.tokens) == ask.max_new_tokens:
                    ended.append(ask)
                    flight.asks[index] = None
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
            [flight.asks[index] for index in live] + [ask for other in others for ask in other.asks],
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


def _side_by_side(parts: list[Joined]) -> Joined:
    """Pads rows of several models on the left to one width; their routing is left out."""
    width = max(part.inputs_embeds.shape[1] for part in parts)
    gaps = [width - part.inputs_embeds.shape[1] for part in parts]
    pad = torch.nn.functional.pad
    return Joined(
        torch.cat([pad(part.inputs_embeds, (0, 0, gap, 0)) for part, gap in zip(parts, gaps, strict=True)]),
        torch.cat([pad(part.attention_mask, (gap, 0)) for part, gap in zip(parts, gaps, strict=True)]),
        torch.cat([pad(part.position_ids, (gap, 0)) for part, gap in zip(parts, gaps, strict=True)]),
        None,
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
