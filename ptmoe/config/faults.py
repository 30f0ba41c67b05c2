"""Messages for faults of params.yaml: the key, its value, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ptmoe.runtime.errors import ParamsError

Model = TypeVar("Model", bound=BaseModel)


def value_at(tree: Any, location: Iterable[int | str]) -> Any:
    """Returns the value at a path of keys and places in lists; None where there is none."""
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _problems(error: ValidationError, tree: Any, prefix: str) -> list[str]:
    """One line per faulty key: the key, its value, what is allowed."""
    allowed: dict[str, list[str]] = {}
    for fault in error.errors():
        # pydantic adds the branch of a union to the location; only what exists in the file is a key.
        location: tuple[int | str, ...] = ()
        for part in fault["loc"]:
            location = (*location, part) if value_at(tree, (*location, part)) is not None else location
        key = ".".join([prefix, *map(str, location)]).strip(".")
        if fault["type"] == "missing":
            allowed[f"{key}.{fault['loc'][-1]}".strip(".")] = ["missing; add it"]
        elif fault["type"] == "extra_forbidden":
            allowed[key] = [f"unknown key, got {value_at(tree, location)!r:.60}; remove it or correct its name"]
        elif fault["type"] == "value_error":
            allowed[key] = [fault["msg"].removeprefix("Value error, ")]
        else:
            rule = fault["msg"].removeprefix("Input should be ")
            allowed.setdefault(key, [f"got {value_at(tree, location)!r}; allowed: "]).append(rule)
    return [f"{key}: {rules[0]}{' or '.join(dict.fromkeys(rules[1:]))}" for key, rules in allowed.items()]


def validated(model: type[Model], tree: Any, prefix: str, problems: list[str]) -> Model | None:
    """Returns a block of params.yaml as its schema, or None; each fault is added to `problems` as one line.

    Args:
        prefix: the path of the block, e.g. `ptmoe`.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems.extend(_problems(error, tree, prefix))
        return None


def first_fault(error: ValidationError) -> str:
    """Returns the first fault of a JSON file in words: the key, its value, what is allowed."""
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r:.60}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns `did you mean X? ` where a known name is close to a mistyped one."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}? " if close else ""


def refuse(where: str, problems: list[str]) -> None:
    """Raises `ParamsError` with all problems in one message; does nothing when there are none."""
    if problems:
        listed = "\n".join(f"  {line}" for line in sorted(problems))
        raise ParamsError(f"{where} has {len(problems)} fault(s):\n{listed}")
