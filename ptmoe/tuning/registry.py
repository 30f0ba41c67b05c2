"""Finds a method by its name. Each is imported alone, so that editing one method re-runs that method alone."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ptmoe.config.faults import refuse, validated
from ptmoe.runtime.errors import ParamsError

if TYPE_CHECKING:
    from ptmoe.tuning.method import Method, MethodParams


def load_method(name: str) -> type[Method[Any]]:
    """Imports `ptmoe/methods/<name>.py` and returns its `METHOD`.

    Raises:
        ParamsError: there is no such file, or it defines no method.
    """
    if not name.isidentifier() or importlib.util.find_spec(f"ptmoe.methods.{name}") is None:
        raise ParamsError(f"method {name!r} has no file; add ptmoe/methods/{name}.py as CONTRIBUTING.md shows")
    method = getattr(importlib.import_module(f"ptmoe.methods.{name}"), "METHOD", None)
    if method is None:
        raise ParamsError(f"ptmoe/methods/{name}.py defines no METHOD, so {name!r} is not a method")
    return method


def check_methods(blocks: Mapping[str, Any], where: str = "params.yaml") -> dict[str, MethodParams]:
    """Validates methods' blocks (name -> block, from the file `where`) by the schemas in the methods' files.

    Raises:
        ParamsError: with every key that is unknown, missing or has a value that is not allowed.
    """
    problems: list[str] = []
    checked = {name: validated(load_method(name).schema, block, name, problems) for name, block in blocks.items()}
    refuse(where, problems)
    return {name: params for name, params in checked.items() if params is not None}


def method_params(name: str, block: Mapping[str, Any]) -> MethodParams:
    """Validates one method's block, as an adapter or a caller gives it; raises as `check_methods`."""
    return check_methods({name: block}, f"the block of {name}")[name]
