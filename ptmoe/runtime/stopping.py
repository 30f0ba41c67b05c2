"""Ctrl-C and SIGTERM ask training to save and stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

STOPPED_STATUS = 130


class StopRequest:
    """Remembers a signal, which a loop looks for between steps; a second Ctrl-C interrupts at once.

    One Ctrl-C in a terminal reaches a process of several twice: as itself, and as SIGTERM from the launcher.
    """

    def __init__(self) -> None:
        self.requested = False
        self._received: set[int] = set()
        self._previous: dict[int, object] = {}

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self._received:
            raise KeyboardInterrupt
        self._received.add(number)
        self.requested = True

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
