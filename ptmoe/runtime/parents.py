"""A stage ends with who started it, also where that is killed and can tell nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import psutil

from ptmoe.runtime.errors import STOPPED_STATUS

POLL_S = 0.5


def stop_with_dvc() -> None:
    """Sends this process SIGTERM, at which training saves, when the DVC above it dies; without one it does nothing.

    DVC starts a stage through a shell, which may outlive DVC and tells the stage nothing.
    """
    dvc = next((above for above in psutil.Process().parents() if _is_dvc(above)), None)
    if dvc is not None:
        _stop_with(dvc)


def stop_with_starter() -> None:
    """Sends this process of `multiprocessing` SIGTERM when the one that started it dies; a fork's parent is another."""
    starter = multiprocessing.parent_process()
    if starter is None or not starter.is_alive():  # it died while this process started
        os._exit(STOPPED_STATUS)
    _stop_with(psutil.Process(starter.pid))


def _stop_with(starter: psutil.Process) -> None:
    threading.Thread(target=_stop_after, args=(starter,), daemon=True).start()


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return "dvc" in [Path(word).name for word in process.cmdline()[:3]]
    except psutil.Error:  # another user's, or gone
        return False


def _stop_after(starter: psutil.Process) -> None:
    while _lives(starter):
        time.sleep(POLL_S)
    stage = threading.main_thread().ident
    assert stage is not None
    signal.pthread_kill(stage, signal.SIGTERM)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
