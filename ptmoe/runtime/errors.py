"""The errors that a user can cause; each message names what failed, the value, what is allowed and what to do."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

USER_ERROR_STATUS = 2
STOPPED_STATUS = 130
LONGEST_MESSAGE = 3000
# What the machine and not the program is to blame for when a file cannot be read or written.
_PLACE_ERRORS: dict[int | None, str] = {
    number: advice
    for advice, numbers in {
        "make room": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        "give a place that can be written": (errno.EROFS,),
        "give a place that you may use": (errno.EACCES, errno.EPERM),
        "give a file": (errno.EISDIR,),
        "give a path whose folders are folders": (errno.ENOTDIR, errno.EEXIST),
        "give a shorter name": (errno.ENAMETOOLONG,),
        "look at the disk": (errno.EIO,),
    }.items()
    for number in numbers
}


class PtmoeError(Exception):
    """A user's mistake, shown without a traceback."""


class ParamsError(PtmoeError):
    """params.yaml, or a value from it, is invalid."""


class DataError(PtmoeError):
    """A source, a record or an encoded file is missing, damaged or malformed."""


class BaseModelError(PtmoeError):
    """The base model cannot be found, read or used with the method."""


class AdapterError(PtmoeError):
    """An adapter folder is missing, damaged or does not fit the base model."""


class CheckpointError(PtmoeError):
    """A training checkpoint cannot be written or read."""


class TrainingError(PtmoeError):
    """Training cannot start or continue (diverged loss, no usable example, no memory)."""


class ScoringError(PtmoeError):
    """Predictions are missing or do not fit the examples."""


@contextmanager
def reported_to_user() -> Iterator[None]:
    """Ends the process with one line: status 2 for a `PtmoeError` or a failing disk, 130 for Ctrl-C."""
    try:
        yield
    except PtmoeError as error:
        message = str(error)
    except MemoryError:
        message = "the memory of this machine is not enough; close other programs or take a larger machine"
    except Exception as error:
        advice = _PLACE_ERRORS.get(_number_of(error))
        if advice is None:
            raise
        where = getattr(error, "filename", None) or "a file"
        message = f"{where}: {getattr(error, 'strerror', None) or error}; {advice}"
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(STOPPED_STATUS) from None
    else:
        return
    print(f"error: {one_message(message)}", file=sys.stderr)
    raise SystemExit(USER_ERROR_STATUS)


def one_message(text: str) -> str:
    """Joins the lines of a message, except indented ones (a list), and ends it where a value in it goes on and on."""
    return re.sub(r"[\r\n]+(?! )", " ", text)[:LONGEST_MESSAGE]


def first_line(error: BaseException) -> str:
    """Returns the first line of what a library says, or the kind of error where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _number_of(error: Exception) -> int | None:
    """Returns the system's number of an error; libraries in Rust (safetensors) only write it into their message."""
    if isinstance(error, OSError):
        return error.errno
    written = re.search(r"\(os error (\d+)\)", str(error))
    return int(written[1]) if written else None
