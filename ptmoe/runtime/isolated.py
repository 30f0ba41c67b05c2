"""Independent work, each item in a process of its own: what one leaves behind, or dies of, no other sees."""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from ptmoe.runtime.errors import reported_to_user
from ptmoe.runtime.parents import stop_with_starter

Item = TypeVar("Item")


def in_own_processes(
    work: Callable[[Item], None], items: Sequence[Item], at_once: int, devices: Sequence[str] = (), preload: str = ""
) -> Iterator[tuple[Item, int, list[str]]]:
    """Yields each item as `work(item)` ends, with the exit status of its process and the lines that it printed.

    Each of `at_once` processes sees one of the GPUs `devices`. `preload` is a module that imports what takes seconds:
    the processes are forks of one that has imported it. Beside a GPU they are not, for CUDA does not survive a fork.
    """
    if preload and not devices and sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([preload])
    else:
        context = multiprocessing.get_context("spawn")
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for index in range(at_once):
        free.put(devices[index % len(devices)] if devices else "")

    def run(item: Item) -> tuple[int, list[str]]:
        device = free.get()
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output"
            process = context.Process(target=_run, args=(work, item, output, device))
            process.start()
            process.join()
            free.put(device)
            printed = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
        assert process.exitcode is not None
        return process.exitcode, printed.splitlines()

    with ThreadPoolExecutor(at_once) as pool:
        futures = {pool.submit(run, item): item for item in items}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        finally:
            # Ctrl-C reaches the processes, too: those at work save and end, the others do not begin.
            pool.shutdown(cancel_futures=True)


def _run(work: Callable[[Item], None], item: Item, output: Path, device: str) -> None:
    stop_with_starter()
    with output.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    with reported_to_user():
        work(item)
