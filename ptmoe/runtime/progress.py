"""A progress bar on a terminal, a few plain lines elsewhere, and a stage's messages."""

from __future__ import annotations

import time
from typing import Self

from tqdm import tqdm

PLAIN_INTERVAL_S = 15.0


def say(message: str) -> None:
    """Prints one line at once, so that output of several processes reads in order."""
    print(message, flush=True)


class Progress:
    """Counts work done: a bar on a terminal, a plain line every 15 seconds otherwise.

    Args:
        what: what is being done, e.g. `Training qa-pt-0`.
        total: how many units there are.
        unit: the name of one unit, e.g. `step`.
        done: units finished earlier, by a run that was interrupted.
    """

    def __init__(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self._what, self._unit, self._total = what, unit, total
        self._done = self._start_done = done
        # `None`: no bar where standard error is no terminal.
        self._bar = tqdm(total=total, initial=done, desc=what, unit=unit, dynamic_ncols=True, leave=False, disable=None)
        self._started_s = self._spoken_s = time.monotonic()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Adds finished units and shows `note` (a loss, a rate) beside them."""
        self._done += units
        if not self._bar.disable:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(units)
            return
        now_s = time.monotonic()
        if now_s - self._spoken_s >= PLAIN_INTERVAL_S and self._done < self._total:
            self._spoken_s = now_s
            rate = (self._done - self._start_done) / max(now_s - self._started_s, 1e-9)
            left_s = (self._total - self._done) / max(rate, 1e-9)
            tail = f", {note}" if note else ""
            say(f"  {self._what}: {self._done}/{self._total} {self._unit}, {left_s:.0f} s left{tail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
