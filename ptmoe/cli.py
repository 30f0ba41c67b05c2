"""The `ptmoe` command: one module in `ptmoe.commands` for each subcommand, whose docstring is its help."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

import ptmoe.commands
from ptmoe import __version__
from ptmoe.runtime.arguments import Parser
from ptmoe.runtime.errors import PtmoeError, reported_to_user
from ptmoe.runtime.stopping import stop_during_imports


def build_parser() -> argparse.ArgumentParser:
    """Collects the subcommands: the first line of a module says `command`: help, and what follows describes it."""
    parser = Parser(prog="ptmoe", description="Tune a frozen language model and compare the methods.")
    parser.add_argument("--version", action="version", version=f"ptmoe {__version__}")
    subparsers = parser.add_subparsers(metavar="command", required=True)
    for found in pkgutil.iter_modules(ptmoe.commands.__path__):
        module = importlib.import_module(f"ptmoe.commands.{found.name}")
        first, _, rest = str(module.__doc__).partition("\n")
        summary = first.partition(": ")[2].rstrip(".")
        command = subparsers.add_parser(found.name, help=summary, description=rest or summary)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns 0 on success, ends with 2 on a user's error."""
    stop_during_imports()
    arguments = build_parser().parse_args(argv)
    with reported_to_user():
        try:
            return arguments.run(arguments) or 0
        except BrokenPipeError:
            # The reader (`head`, a closed pager) has seen enough.
            sys.stderr.close()
            return 0
        except FileNotFoundError as error:
            if error.filename != "git":
                raise
            raise PtmoeError("this command asks Git, and no `git` is on the PATH; install it") from None
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
