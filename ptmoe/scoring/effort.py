"""A limit on the work of a computation, counted in calls of Python functions.

A clock would decide differently on a slower machine, and an alarm works only in the main thread. The count is the same
on every machine and is kept per thread.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_GENERATOR
from types import FrameType


class EffortExceeded(BaseException):
    """The work exceeds its limit; not an `Exception`, because some libraries catch all of those."""


class Effort:
    """A number of calls, to be spent in one or several computations."""

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
