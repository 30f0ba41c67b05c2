"""One process at a time: a lock that the kernel gives back when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptmoe.runtime.errors import PtmoeError


@contextmanager
def only_one(what: str, lock: Path, wait: bool = False) -> Iterator[None]:
    """Holds a lock file during the block, with `wait` as soon as no other process does; the file itself stays.

    Of several processes that torchrun started together the first one holds it for all.

    Raises:
        PtmoeError: another process holds it, or its file system has no locks.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        try:
            # Not `flock`: a child that outlives this process would inherit that lock, but never this one.
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise PtmoeError(f"{what} is running already, as process {file.read()}; wait for it or stop it") from None
        except OSError as error:
            raise PtmoeError(f"{lock} cannot be locked ({error.strerror}); give a disk that has file locks") from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield
