"""Ctrl-C and SIGTERM ask training to save and stop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from ptmoe.runtime.errors import STOPPED_STATUS

__all__ = ["STOPPED_STATUS", "StopRequest", "end_with_parent", "stop_during_imports", "time_limit"]
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_SET_DEATH_SIGNAL = 1


def end_with_parent() -> None:
    """As `preexec_fn` of a process: Linux sends it SIGTERM when the thread that started it dies, however it dies."""
    if _PRCTL is not None:
        _PRCTL(_SET_DEATH_SIGNAL, signal.SIGTERM)


def stop_during_imports() -> None:
    """Lets Ctrl-C end the process also while it imports, where Python may swallow a `KeyboardInterrupt`.

    An import runs callbacks whose exceptions are printed and forgotten; it has nothing to save, so the process ends.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os.write(sys.stderr.fileno(), b"stopped\n")
            os._exit(STOPPED_STATUS)
        frame = frame.f_back
    raise KeyboardInterrupt


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises `TimeoutError` inside the block when it takes longer; the main thread alone can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it takes longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


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
