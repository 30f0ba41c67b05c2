"""Independent work in processes of its own, which all end in one sentence: by an error, by Ctrl-C, or killed."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.parents import stop_with_starter

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(work: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[tuple[Item, Result]]:
    """Yields each item with `work(item)` as it is done; a process is kept for many items.

    Raises:
        PtmoeError: a process was killed; or what `work` raises.
    """
    pool = ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn"), initializer=stop_with_starter)
    # Ctrl-C in a terminal reaches every process. Those started here ignore it as this one does at that moment.
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        futures = {pool.submit(work, item): item for item in items}
    finally:
        signal.signal(signal.SIGINT, ours)
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException as error:
        for process in multiprocessing.active_children():
            process.kill()
        if isinstance(error, BrokenProcessPool):
            advice = "run fewer at once, or take a larger machine"
            raise PtmoeError(f"a process was killed, as happens when memory runs out; {advice}") from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)
