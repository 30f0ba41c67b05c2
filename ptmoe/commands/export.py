"""`ptmoe export`: writes an adapter in a format that other programs load."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("export", help="write an adapter for the peft library, or as prompt embeddings")
    parser.add_argument("--adapter", required=True, type=Path, metavar="DIR", help="an adapter folder")
    parser.add_argument("--to", required=True, choices=("peft", "embeds"), help="the format to write")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the folder to write (default: exports/<adapter>-<form>)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the folder and says where."""
    from ptmoe.export.forms import export_adapter
    from ptmoe.runtime.progress import say

    out = args.output or Path("exports") / f"{args.adapter.resolve().name}-{args.to}"
    export_adapter(args.adapter, args.to, out)
    say(f"wrote {out}")
    return 0
