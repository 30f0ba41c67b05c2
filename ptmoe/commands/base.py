"""`ptmoe base`: make a base model from a GGUF file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    actions = parser.add_subparsers(metavar="action", required=True)
    importing = actions.add_parser("import", help="write a GGUF file as a Hugging Face folder")
    importing.add_argument("file", type=Path, metavar="FILE.gguf")
    importing.add_argument("--to", required=True, type=Path, metavar="DIR", help="a new folder")
    importing.add_argument(
        "--dtype",
        choices=("bfloat16", "float16", "float32"),
        default="bfloat16",
        help="precision of the weights written (default: bfloat16)",
    )


def run(args: argparse.Namespace) -> None:
    """Writes the folder and says where."""
    from ptmoe.base.gguf import import_gguf
    from ptmoe.runtime.progress import say

    import_gguf(args.file, args.to, args.dtype)
    size = sum(path.stat().st_size for path in args.to.iterdir())
    say(f"wrote {args.to} ({size / 1e6:.0f} MB, {args.dtype}); name it in base.name, with revision: local")
