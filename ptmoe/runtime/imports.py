"""Imports of the packages that a model needs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Keeps Python's search for garbage away from what a block imports, while it does and until the process ends.

    torch and transformers make a million objects that all stay: to search them again and again, and once more at the
    end, took a third of the CPU time of a process that only imports them.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if searching:
            gc.enable()
