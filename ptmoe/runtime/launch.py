"""One stage on as many processes as it is given devices; the stage's command stays the same."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any, Literal, TypeVar

from ptmoe.runtime import errors
from ptmoe.runtime.cluster import Node, this_node
from ptmoe.runtime.errors import USER_ERROR_STATUS, PtmoeError, TrainingError

Job = TypeVar("Job")
GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1


def launch(work: Callable[[Job], None], job: Job, devices: int | Literal["auto"]) -> None:
    """Runs `work(job)` once per device, here or in processes of its own, on this node and the others of a cluster.

    A process that was started by torchrun or `accelerate launch` is taken as one of theirs.

    Args:
        work: a function of a module, so that other processes can import it.
        job: its argument, which must be picklable.
        devices: processes on each node; `auto` takes every visible GPU, or one process without any.

    Raises:
        PtmoeError: the one that a process ended with.
        TrainingError: there are fewer GPUs than `devices`.
    """
    if "RANK" in os.environ:
        work(job)
        return
    processes = count_devices(devices)
    with this_node() as node:
        if processes * node.count == 1:
            work(job)
        else:
            _run_processes(work, job, processes, node)


def count_devices(devices: int | Literal["auto"]) -> int:
    """Returns the number of processes for this node."""
    import torch

    found = torch.cuda.device_count()
    if devices == "auto":
        return max(found, 1)
    if found and devices > found:
        raise TrainingError(f"devices: got {devices}; allowed: auto, or up to the {found} visible GPUs")
    return devices


def _run_processes(work: Callable[[Job], None], job: Job, processes: int, node: Node) -> None:
    context = multiprocessing.get_context("spawn")
    reports = context.SimpleQueue()
    shared = {
        "WORLD_SIZE": processes * node.count,
        "LOCAL_WORLD_SIZE": processes,
        "MASTER_ADDR": node.address,
        "MASTER_PORT": node.port,
    }
    workers = []
    for local_rank in range(processes):
        environment = shared | {"RANK": node.rank * processes + local_rank, "LOCAL_RANK": local_rank}
        arguments = (work, job, {name: str(value) for name, value in environment.items()}, reports)
        workers.append(context.Process(target=_worker, args=arguments))
    with _forwarded_signals(workers):
        for worker in workers:
            worker.start()
        status = _wait(workers)
    if not reports.empty():
        name, message = reports.get()
        raise getattr(errors, name)(message)
    if status:
        raise SystemExit(status)


def _wait(workers: list[Any]) -> int:
    """Waits for all; when one fails, gives the others some seconds. Returns the first failure's exit status."""
    running, status = list(workers), 0
    while running:
        ended = connection.wait([worker.sentinel for worker in running], GRACE_S if status else None)
        for worker in [worker for worker in running if worker.sentinel in ended]:
            worker.join()
            running.remove(worker)
            status = status or worker.exitcode or 0
        if not ended:
            for worker in running:
                worker.kill()
    return status if status >= 0 else 128 - status


@contextmanager
def _forwarded_signals(workers: list[Any]) -> Iterator[None]:
    """Turns the first Ctrl-C or SIGTERM into SIGTERM for the workers, which save and stop; the second kills them."""
    received = 0

    def forward(number: int, frame: object) -> None:
        nonlocal received
        received += 1
        for worker in workers:
            if worker.is_alive():
                worker.terminate() if received == 1 else worker.kill()

    previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _worker(work: Callable[[Job], None], job: Job, environment: dict[str, str], reports: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # and its death says so, too
    os.environ.update(environment)
    try:
        work(job)
        _leave_group()
    except PtmoeError as error:
        if reports.empty():
            reports.put((type(error).__name__, str(error)))
        # Not sys.exit: the other processes may never come to the clean end that the communication library waits for.
        os._exit(USER_ERROR_STATUS)


def _leave_group() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
