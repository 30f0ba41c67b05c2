"""One thread owns the models: questions join its running batch, and an event loop hears of every token."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ptmoe.generation.decode import Ask, Decoder
from ptmoe.runtime.progress import say


@dataclass(eq=False)
class Ticket:
    """A question on its way; every field is of the event loop's thread.

    Attributes:
        ask: the row and its growing answer.
        streams: whether every token is announced, not the last one alone.
        tokens: tokens of the answer that may be read.
        done: whether the answer is whole.
        failure: why there will be no answer.
        changed: set at every announcement.
    """

    ask: Ask
    decoder: Decoder
    streams: bool
    tokens: int = 0
    done: bool = False
    failure: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Scheduler:
    """Answers questions with several decoders, a turn of each after the other.

    Args:
        decoders: one for each base model in memory.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.decoders = decoders
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tickets: dict[Ask, Ticket] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="scheduler", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Starts the thread; call it on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Lets the thread end after the answers that it owes."""
        self._orders.put(self._stop)
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def rows(self) -> tuple[int, int]:
        """Rows that are being answered, and rows that wait."""
        return sum(len(each.live) for each in self.decoders), sum(len(each.waiting) for each in self.decoders)

    def submit(self, ticket: Ticket) -> None:
        """Puts a question in the queue."""
        self._orders.put(lambda: self._enter(ticket))

    def cancel(self, ticket: Ticket) -> None:
        """Forgets a question that nobody waits for; its slot is free before the next token."""
        self._orders.put(lambda: self._leave(ticket))

    def _stop(self) -> None:
        self._stopping = True

    def _enter(self, ticket: Ticket) -> None:
        self._tickets[ticket.ask] = ticket
        ticket.decoder.waiting.append(ticket.ask)

    def _leave(self, ticket: Ticket) -> None:
        if self._tickets.pop(ticket.ask, None):
            ticket.decoder.drop(ticket.ask)

    def _work(self) -> None:
        while not self._stopping or self._tickets:
            # Without rows the thread sleeps; otherwise it takes what has come since the last turn.
            while not (self._orders.empty() and any(decoder.busy for decoder in self.decoders)):
                self._orders.get()()
                if self._stopping and not self._tickets:
                    return
            for decoder in self.decoders:
                if decoder.busy:
                    self._turn(decoder)

    def _turn(self, decoder: Decoder) -> None:
        failure = ""
        try:
            ended = decoder.turn()
        except Exception as error:  # the server goes on: only the rows of this batch are lost
            failure = " ".join(str(error).split()) or type(error).__name__
            say(f"a batch failed: {failure}")
            ended = [*decoder.live, *decoder.waiting]
            decoder.clear()
        done = [self._tickets.pop(ask) for ask in ended]
        grown = [ticket for ask in decoder.live if (ticket := self._tickets[ask]).streams]
        news = [(ticket, len(ticket.ask.answer.tokens)) for ticket in [*done, *grown]]
        if news:
            self._loop.call_soon_threadsafe(_announce, news, len(done), failure)


def _announce(news: list[tuple[Ticket, int]], done: int, failure: str) -> None:
    """Tells the event loop what a turn brought; the first `done` tickets are complete."""
    for number, (ticket, tokens) in enumerate(news):
        ticket.tokens = tokens
        if number < done:
            ticket.done, ticket.failure = True, failure
        ticket.changed.set()
