"""Finds a method by its name. Each is imported alone, so that editing one method re-runs that method alone."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from ptmoe.runtime.errors import ParamsError

if TYPE_CHECKING:
    from ptmoe.tuning.method import Method


def load_method(name: str) -> type[Method[Any]]:
    """Imports `ptmoe/methods/<name>.py` and returns its `METHOD`.

    Raises:
        ParamsError: there is no such file, or it holds no method.
    """
    if not name.isidentifier() or importlib.util.find_spec(f"ptmoe.methods.{name}") is None:
        raise ParamsError(f"method {name!r} has no file; add ptmoe/methods/{name}.py as docs/methods.md shows")
    method = getattr(importlib.import_module(f"ptmoe.methods.{name}"), "METHOD", None)
    if method is None:
        raise ParamsError(f"ptmoe/methods/{name}.py holds no METHOD, so {name!r} is not a method")
    return method
