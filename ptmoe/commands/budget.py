"""`ptmoe budget`: trainable parameters of every method, and ranks that fit a budget; loads no weights."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ptmoe.config.params import Params
from ptmoe.config.project import params_file
from ptmoe.runtime.errors import ParamsError

if TYPE_CHECKING:
    from ptmoe.base.geometry import Geometry
    from ptmoe.tuning.method import MethodParams

KEYS = ("prompt_length", "rank", "num_experts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--base", help="a model folder, its config.json, or a Hub id (default: that of the profile)")
    parser.add_argument("--params", type=int, metavar="N", help="make every method as large as N parameters allow")
    parser.add_argument("--json", action="store_true", help="print a JSON object: method -> numbers")


def run(args: argparse.Namespace) -> None:
    """Prints the table."""
    from ptmoe.base.geometry import Geometry
    from ptmoe.base.hub import find_config
    from ptmoe.tuning.registry import check_methods

    if args.params is not None and args.params < 1:
        raise ParamsError(f"--params: got {args.params}; allowed: 1 or more")
    params = Params.load(params_file())
    base = params.profile.base
    name, revision = (args.base, "main") if args.base else (base.name, base.revision)
    geometry = Geometry.from_config(find_config(name, revision))
    blocks = check_methods(params.methods)
    listed = [*params.grid.methods, *sorted(blocks.keys() - set(params.grid.methods))]
    rows = {method: budget_row(method, blocks[method], geometry, args.params) for method in listed}
    print(json.dumps(rows, indent=2) if args.json else table(rows, name, geometry.parameters))


def budget_row(name: str, params: MethodParams, geometry: Geometry, budget: int | None) -> dict[str, Any]:
    """Counts one method; `problem` says why there is no count."""
    from ptmoe.tuning.budget import fitted
    from ptmoe.tuning.registry import load_method

    method = load_method(name)
    row: dict[str, Any] = {"trainable_parameters": None, **dict.fromkeys(KEYS), "share_of_base": None}
    solved = params if budget is None else fitted(method, params, geometry, budget)
    if solved is None:
        return row | {"problem": f"no {method.size_key} of 1 or more fits {budget} parameters"}
    try:
        method.check(solved, geometry)
        solved = method.solved(solved, geometry)
        count = method.count(solved, geometry)
    except ParamsError as error:
        return row | {"problem": str(error)}
    sizes = {key: getattr(solved, key, None) for key in KEYS}
    return {"trainable_parameters": count, **sizes, "share_of_base": count / geometry.parameters}


def table(rows: dict[str, dict[str, Any]], base: str, parameters: int) -> str:
    """Lays rows out for reading; the share is in percent of the base's weights."""
    heads = ("method", "prompt length", "rank", "experts", "trainable", "share %")
    lines = [f"{base}: {parameters:,} parameters", "{:<12}{:>14}{:>6}{:>9}{:>15}{:>10}".format(*heads)]
    for method, row in rows.items():
        if "problem" in row:
            lines.append(f"{method:<12}  {row['problem']}")
            continue
        sizes = ["-" if row[key] is None else row[key] for key in KEYS]
        share = f"{100 * row['share_of_base']:.4f}"
        lines.append("{:<12}{:>14}{:>6}{:>9}{:>15,}{:>10}".format(method, *sizes, row["trainable_parameters"], share))
    return "\n".join(lines)
