"""Types of command-line options; a wrong value is one sentence of argparse."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ptmoe.runtime.errors import one_message


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one line of a sane length, whatever the argument holds."""

    def error(self, message: str) -> NoReturn:
        super().error(one_message(message))


def count(text: str) -> int:
    """Reads a whole number from 1."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r:.40}; allowed: whole numbers from 1")
    return int(text)


def add_adapters(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every command that answers with adapters."""
    parser.add_argument(
        "--adapter",
        required=True,
        action="append",
        metavar="[NAME=]DIR",
        help="an adapter folder, by default named like the folder; repeat it for several",
    )
    parser.add_argument("--base", metavar="DIR", help="the base model's folder, if it is not where training found it")
    parser.add_argument("--max-new-tokens", type=count, default=256, metavar="N", help="longest answer (default 256)")
    parser.add_argument(
        "--max-batch-tokens", type=count, default=16_384, metavar="N", help="tokens decoded at once (default 16384)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the base model")


def names(text: str) -> list[str]:
    """Reads different names, separated by commas."""
    found = [name.strip() for name in text.split(",")]
    for name in found:
        if not name or found.count(name) > 1:
            fault = f"{name!r} is named twice" if name else "a name is empty"
            raise argparse.ArgumentTypeError(f"got {text!r:.80}, where {fault}")
    return found


def seeds(text: str) -> list[int]:
    """Reads different whole numbers from 0, separated by commas."""
    found = names(text)
    if not all(name.isascii() and name.isdecimal() and len(name) < 10 for name in found):
        raise argparse.ArgumentTypeError(f"got {text!r:.80}; allowed: whole numbers from 0, separated by commas")
    return [int(name) for name in found]
