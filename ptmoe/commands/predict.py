"""`ptmoe predict`: answers a user's questions with an adapter."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptmoe.runtime.arguments import count


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("predict", help="answer the questions of a JSONL file with an adapter")
    parser.add_argument("--adapter", required=True, type=Path, metavar="DIR", help="an adapter folder")
    parser.add_argument("--input", required=True, type=Path, metavar="FILE", help='lines {"question", "context"?, ...}')
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE", help="where to write the answers, one per line"
    )
    parser.add_argument("--base", metavar="DIR", help="the base model's folder, if it is not where training found it")
    parser.add_argument("--max-new-tokens", type=count, default=256, metavar="N", help="longest answer (default 256)")
    parser.add_argument("--max-length", type=count, metavar="N", help="longest prompt; longer contexts are cut")
    parser.add_argument(
        "--max-batch-tokens", type=count, default=16_384, metavar="N", help="tokens decoded at once (default 16384)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the base model")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the answers and says how many."""
    from ptmoe.serving.predict import Limits, predict_file

    limits = Limits(args.max_new_tokens, args.max_length, args.max_batch_tokens)
    predict_file(args.adapter, args.input, args.output, limits, args.base, args.trust_remote_code)
    return 0
