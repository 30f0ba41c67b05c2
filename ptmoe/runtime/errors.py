"""The errors that a user can cause; each message names what failed, the value, what is allowed and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

USER_ERROR_STATUS = 2


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
    """Ends the process with status 2 and the message alone when a `PtmoeError` is raised inside."""
    try:
        yield
    except PtmoeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(USER_ERROR_STATUS) from None
