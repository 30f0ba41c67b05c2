"""From a request to its answer: finds the adapter, encodes the question, follows the answer as it grows, and counts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ptmoe.encoding.encoder import Statistics
from ptmoe.examples.example import Example
from ptmoe.generation.answer import Answer
from ptmoe.generation.cell import check_positions
from ptmoe.generation.decode import Ask, Decoder
from ptmoe.serving.asked import Asked, RefusedError
from ptmoe.serving.opened import House, Opened
from ptmoe.serving.replies import Reply
from ptmoe.serving.scheduler import Scheduler, Ticket


class Meters:
    """What Prometheus reads at /metrics; labels are from a fixed set, so requests cannot make new ones without end.

    Args:
        rows: returns the rows that are being answered, and those that wait.
    """

    def __init__(self, rows: Callable[[], tuple[int, int]]) -> None:
        self.registry = registry = CollectorRegistry()
        self.replies = Counter("ptmoe_replies", "Replies by status", ["status"], registry=registry)
        self.cancelled = Counter("ptmoe_cancelled", "Questions whose client went away", registry=registry)
        self.prompt_tokens = Counter("ptmoe_prompt_tokens", "Tokens of questions", ["model"], registry=registry)
        self.new_tokens = Counter("ptmoe_new_tokens", "Tokens of answers", ["model"], registry=registry)
        self.experts = Counter(
            "ptmoe_expert_chosen", "Answers by chosen expert", ["model", "expert"], registry=registry
        )
        self.seconds = Histogram("ptmoe_answer_seconds", "Time to a whole answer", ["model"], registry=registry)
        for number, (name, text) in enumerate({"answering": "being answered", "waiting": "waiting"}.items()):
            gauge = Gauge(f"ptmoe_rows_{name}", f"Rows that are {text}", registry=registry)
            gauge.set_function(lambda number=number: rows()[number])


class Service:
    """Answers requests with the adapters of a house.

    Args:
        house: the open adapters.
        max_requests: most questions that wait or are being answered at a time.

    Raises:
        BaseModelError: answers of that length leave no position for a question.
    """

    def __init__(self, house: House, max_requests: int) -> None:
        self.house, self._max_requests, self.open = house, max_requests, 0
        self._decoders: dict[int, Decoder] = {}
        new_tokens, batch_tokens = house.limits.max_new_tokens, house.limits.max_batch_tokens
        for adapter in house.adapters.values():
            check_positions(1, new_tokens, adapter.model)
            base = id(adapter.model.base)
            if base not in self._decoders:
                self._decoders[base] = Decoder(adapter.model, house.info, new_tokens, batch_tokens)
        self.scheduler = Scheduler(list(self._decoders.values()))
        self.meters = Meters(lambda: self.scheduler.rows)

    def adapter(self, name: str) -> Opened:
        """Returns an adapter; raises `RefusedError` where there is none of that name."""
        if name not in self.house.adapters:
            known = ", ".join(self.house.adapters)
            raise RefusedError(404, f"model: got {name!r:.60}; allowed: {known}", "model", "model_not_found")
        return self.house.adapters[name]

    def answering(self, asked: Asked, chat: bool) -> Answering:
        """Puts a question in the queue.

        Raises:
            RefusedError: the adapter is unknown, the question cannot be answered, or too many wait.
        """
        adapter = self.adapter(asked.model)
        longest = self.house.limits.max_new_tokens
        limit = asked.limit or longest
        if limit > longest:
            raise RefusedError(400, f"max_tokens: got {limit}; allowed: 1 to {longest}", "max_tokens")
        example = Example("", "", asked.question.strip(), asked.context.strip(), [], "", "")
        if not example.question:
            raise RefusedError(400, "the question is empty; give the text that the adapter is to answer")
        if example.context and not adapter.takes_context:
            raise RefusedError(400, f"context: the template of {asked.model} has no place for one", "context")
        counts = Statistics()
        (row,) = adapter.encoder.encode([example], False, counts)
        if counts.contexts_cut or counts.over_length:
            raise RefusedError(
                400,
                f"question and context exceed the {adapter.max_length} tokens that {asked.model} reads beside "
                f"its soft prompt and answer; shorten them",
                code="context_length_exceeded",
            )
        if self.open >= self._max_requests:
            raise RefusedError(429, f"{self.open} questions wait or are being answered; try again later")
        ask = Ask(row, adapter.model, Answer(0, None, None), limit)
        ticket = Ticket(ask, self._decoders[id(adapter.model.base)], bool(asked.stream))
        self.open += 1
        self.meters.prompt_tokens.labels(asked.model).inc(row.prompt_length)
        self.scheduler.submit(ticket)
        return Answering(self, ticket, Reply(chat, asked.model, row.prompt_length))


class Answering:
    """One answer on its way; `close` it in any case, so that its slot is free."""

    def __init__(self, service: Service, ticket: Ticket, reply: Reply) -> None:
        self._service, self._ticket, self._reply = service, ticket, reply
        self._started_s = time.perf_counter()

    async def whole(self) -> dict[str, Any]:
        """Returns the body of the whole reply; raises `RefusedError` (500) when the batch failed."""
        while not await self._done():
            pass
        return self._reply.whole(self._shown())

    async def pieces(self, with_usage: bool) -> AsyncIterator[dict[str, Any]]:
        """Yields the chunks of a stream; their texts joined are the text of the whole reply."""
        said, done = "", False
        while not done:
            done = await self._done()
            answer = self._ticket.ask.answer
            so_far = Answer(0, answer.expert, answer.probability, answer.tokens[: self._ticket.tokens])
            shown = self._shown() if done else so_far.shown(self._service.house.tokenizer)
            text = shown["prediction"]
            # A character may be several tokens, and shows as U+FFFD until the last of them.
            if done or (text.startswith(said) and text != said and not text.endswith("\ufffd")):
                yield self._reply.piece(text.removeprefix(said), shown, done)
                said = text
        if with_usage:
            yield self._reply.usage(self._shown())

    def close(self) -> None:
        """Frees the slot of an answer that nobody reads any more, and counts."""
        service, meters = self._service, self._service.meters
        service.open -= 1
        if not self._ticket.done:
            meters.cancelled.inc()
            service.scheduler.cancel(self._ticket)
        if not self._ticket.done or self._ticket.failure:
            return
        answer, model = self._ticket.ask.answer, self._reply.model
        meters.new_tokens.labels(model).inc(len(answer.tokens))
        meters.seconds.labels(model).observe(time.perf_counter() - self._started_s)
        if answer.expert is not None:
            meters.experts.labels(model, answer.expert).inc()

    async def _done(self) -> bool:
        """Waits for an announcement that was not seen yet; returns whether it is the last one."""
        await self._ticket.changed.wait()
        self._ticket.changed.clear()
        if self._ticket.failure:
            raise RefusedError(500, f"the batch of this question failed: {self._ticket.failure}")
        return self._ticket.done

    def _shown(self) -> dict[str, Any]:
        return self._ticket.ask.answer.shown(self._service.house.tokenizer)
