"""Runs a stage on one process per device, started by torch's launcher; the stage's command stays the same."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from ptmoe.runtime import errors
from ptmoe.runtime.errors import USER_ERROR_STATUS, PtmoeError, TrainingError
from ptmoe.runtime.stopping import STOPPED_STATUS

Job = TypeVar("Job")
SAVING_S = 3600
"""Longest time from a request to stop to the end of the processes: they finish their steps and save."""
_LOGS = ("distributed.elastic.agent.server.api", "distributed.elastic.multiprocessing.api", "multiprocessing.spawn")


def launch(work: Callable[[Job], None], job: Job, devices: int | Literal["auto"]) -> None:
    """Runs `work(job)` once per device, here or in processes of its own.

    A process that torchrun or `accelerate launch` started joins their group.

    Args:
        work: a function of a module, so that other processes can import it.
        job: its argument, which must be picklable.
        devices: number of processes; `auto` takes every visible GPU, or one process without any.

    Raises:
        PtmoeError: the first error of a process.
        TrainingError: there are fewer GPUs than `devices`.
        SystemExit: status 130 after Ctrl-C or SIGTERM, 1 where a process failed otherwise.
    """
    if "RANK" in os.environ or (processes := count_devices(devices)) == 1:
        work(job)
    else:
        _run_processes(work, job, processes)


def count_devices(devices: int | Literal["auto"]) -> int:
    """Returns the number of processes for this machine."""
    import torch

    found = torch.cuda.device_count()
    if devices == "auto":
        return max(found, 1)
    if found and devices > found:
        raise TrainingError(f"devices: got {devices}; allowed: auto, or up to the {found} visible GPUs")
    return devices


def _run_processes(work: Callable[[Job], None], job: Job, processes: int) -> None:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in _LOGS:  # what they say is in the errors below, too
        logging.getLogger(f"torch.{name}").setLevel(logging.CRITICAL)
    handler = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory(prefix="ptmoe-") as folder:
        report = Path(folder) / "error.json"
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id="ptmoe",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder),
            signals_to_handle="SIGTERM",  # Ctrl-C reaches it as KeyboardInterrupt; either way it sends SIGTERM
            shutdown_timeout=SAVING_S,
        )
        try:
            elastic_launch(config, _worker)(work, job, report)
        except (ChildFailedError, SignalException, KeyboardInterrupt) as ended:
            if report.exists():
                name, message = json.loads(report.read_text(encoding="utf-8"))
                raise getattr(errors, name)(message) from None
            failed = isinstance(ended, ChildFailedError) and ended.get_first_failure()[1].exitcode != STOPPED_STATUS
            raise SystemExit(str(ended) if failed else STOPPED_STATUS) from None
        finally:
            signal.signal(signal.SIGTERM, handler)


def _worker(work: Callable[[Job], None], job: Job, report: Path) -> None:
    import torch

    # torch lets the kernel send SIGINT when the parent dies, which a shell may have told background jobs to ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work(job)
    except PtmoeError as error:
        with contextlib.suppress(FileExistsError), report.open("x", encoding="utf-8") as file:  # the first one counts
            json.dump([type(error).__name__, str(error)], file)
        # Not sys.exit: the other processes may never come to the clean end that the communication library waits for.
        os._exit(USER_ERROR_STATUS)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
