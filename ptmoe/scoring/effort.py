"""A limit on the work of a computation, counted in calls of Python functions.

A clock would give another verdict on a slower machine, and the usual alarm works in the main thread only. The count
is the same on every machine and belongs to the thread that set it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_GENERATOR
from types import FrameType


class EffortExceeded(BaseException):
    """The work is over its limit; not an `Exception`, so that libraries which catch all of these let it pass."""


class Effort:
    """So many calls, to be spent in one or several computations."""

    def __init__(self, calls: int) -> None:
        self.calls_left = calls

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts the calls of this thread inside the block.

        Raises:
            EffortExceeded: none are left.
        """
        before = sys.getprofile()
        sys.setprofile(self._count)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self.calls_left -= 1
            # What is raised while a generator or an object is finalised is lost: Python only prints it.
            if self.calls_left < 0 and not frame.f_code.co_flags & CO_GENERATOR and frame.f_code.co_name != "__del__":
                raise EffortExceeded
