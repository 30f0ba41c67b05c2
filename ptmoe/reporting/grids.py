"""Named grids of settings (grids.yaml): what each changes, how many parameters it trains, how it is queued."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.config.params import Params, read_yaml
from ptmoe.runtime.errors import ScoringError

if TYPE_CHECKING:
    from ptmoe.base.geometry import Geometry

GRIDS = Path(__file__).parent / "grids.yaml"


@dataclass(frozen=True)
class Setting:
    """One point of a grid.

    Attributes:
        keys: {key of params.yaml: value}.
        parameters: what the grid's only method trains; None where no base model was asked for.
    """

    keys: dict[str, Any]
    parameters: int | None = None

    def applied_to(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Returns a copy of params.yaml's tree with the setting's values."""
        changed = copy.deepcopy(tree)
        for key, value in self.keys.items():
            *path, last = key.split(".")
            block = changed
            for part in path:
                block = block[part]
            block[last] = value
        return changed


@dataclass(frozen=True)
class Grid:
    """A named ablation of one or several methods."""

    name: str
    title: str
    methods: list[str]
    tasks: list[str]
    settings: dict[str, Setting]


def read_grid(name: str, params: Params, base: str | None = None) -> Grid:
    """Reads a grid for the profile of params.yaml.

    A base model is looked up only to fit a rank to it, or when one is given.

    Args:
        base: a model folder, config.json or Hub id in place of the profile's base.

    Raises:
        ScoringError: there is no grid of that name, or no rank fits.
        BaseModelError: the base model's config cannot be read.
    """
    grids = read_yaml(GRIDS)
    if name not in grids:
        raise ScoringError(f"unknown ablation {name!r}; allowed: {', '.join(grids)}")
    entry, methods = grids[name], grids[name]["methods"]
    profile = params.grid.profile
    settings = {
        label: {key.replace("{profile}", profile): value for key, value in keys.items()}
        for label, keys in entry["settings"].items()
    }
    fits = any(isinstance(value, dict) for keys in settings.values() for value in keys.values())
    if len(methods) == 1 and (fits or base):
        geometry = _geometry(params, base)
        made = {label: _sized(methods[0], keys, params, geometry) for label, keys in settings.items()}
    else:
        made = {label: Setting(keys) for label, keys in settings.items()}
    if entry.get("labels") == "parameters":
        made = {thousands(setting.parameters or 0): setting for setting in made.values()}
    return Grid(name, entry["title"], methods, entry.get("tasks", params.grid.tasks), made)


def _geometry(params: Params, base: str | None) -> Geometry:
    from ptmoe.base.geometry import Geometry
    from ptmoe.base.hub import find_config

    own = params.profile.base
    return Geometry.from_config(find_config(*((base, "main") if base else (own.name, own.revision))))


def _sized(name: str, keys: dict[str, Any], params: Params, geometry: Geometry) -> Setting:
    """Solves `rank: {fit: T}` and counts what the method trains."""
    from ptmoe.tuning.budget import fitted
    from ptmoe.tuning.registry import load_method, method_params

    method, rank = load_method(name), f"{name}.rank"
    block = params.method(name) | {key.removeprefix(f"{name}."): value for key, value in keys.items()}
    if isinstance(keys.get(rank), dict):
        budget = keys[rank]["fit"] * geometry.hidden_size
        solved = fitted(method, method_params(name, block | {"rank": "auto"}), geometry, budget)
        if solved is None:
            raise ScoringError(f"no rank of {name} fits {budget} parameters with {keys}; use fewer experts")
        block["rank"] = solved.rank  # type: ignore[attr-defined]
        keys = keys | {rank: block["rank"]}
    checked = method_params(name, block)
    return Setting(keys, method.count(method.solved(checked, geometry), geometry))


def thousands(count: int) -> str:
    """Returns a count as figure 3 labels it, cut: 18,994 is 18K."""
    return f"{count // 1000}K" if count >= 1000 else str(count)


def queue_command(grid: Grid, label: str, tasks: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Returns the command that queues one setting for the grid's methods alone, under a name that is not taken."""
    axes = {"methods": f"[{','.join(grid.methods)}]", "tasks": f"[{','.join(tasks)}]"}
    name = "".join(sign if sign.isalnum() else "-" for sign in f"{grid.name}-{label}").lower()
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    name = next(each for each in names if each not in taken)
    keys = axes | grid.settings[label].keys
    changes = [part for key, value in keys.items() for part in ("-S", f"{key}={_shown(value)}")]
    return ["dvc", "exp", "run", "--queue", "--name", name, *changes]


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
