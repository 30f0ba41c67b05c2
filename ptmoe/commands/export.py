"""`ptmoe export`: write an adapter for peft, transformers or vLLM."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptmoe.runtime.arguments import count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--adapter", required=True, type=Path, metavar="DIR", help="an adapter folder")
    parser.add_argument(
        "--to",
        required=True,
        choices=("peft", "embeds", "merged", "vllm"),
        help="a folder of peft; prompts and router as tensors; the base with the adapter in its weights; questions as "
        "embeddings, with a script for vLLM",
    )
    parser.add_argument("--input", type=Path, metavar="FILE", help="the questions for vllm, as for `ptmoe predict`")
    parser.add_argument(
        "--max-new-tokens", type=count, default=256, metavar="N", help="longest answer of vllm (default 256)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the folder to write (default: exports/<adapter>-<form>)"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the folder and says where."""
    from ptmoe.runtime.errors import DataError
    from ptmoe.runtime.progress import say

    out = args.output or Path("exports") / f"{args.adapter.resolve().name}-{args.to}"
    if (args.input is None) != (args.to != "vllm"):
        raise DataError("--to vllm writes the questions of --input FILE; the other forms take none")
    if args.to == "vllm":
        from ptmoe.export.for_vllm import export_vllm

        export_vllm(args.adapter, args.input, out, args.max_new_tokens)
    elif args.to == "merged":
        from ptmoe.export.merged import export_merged

        export_merged(args.adapter, out)
    else:
        from ptmoe.export.forms import export_adapter

        export_adapter(args.adapter, args.to, out)
    say(f"wrote {out}")
