"""`ptmoe predict`: answer questions with one or more adapters of one base model."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from ptmoe.runtime.arguments import add_adapters, count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_adapters(parser)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--input", metavar="FILE", help='lines {"question", "context"?, ...}; - is the standard input')
    asked.add_argument("--question", metavar="TEXT", help="one question; the answer is printed")
    parser.add_argument("--context", metavar="TEXT", help="the context of --question")
    parser.add_argument(
        "--output", default="-", metavar="FILE", help="where to write the answers, one per line (default: -, print)"
    )
    parser.add_argument("--max-length", type=count, metavar="N", help="longest prompt; longer contexts are cut")


def run(args: argparse.Namespace) -> None:
    """Writes the answers and says how many."""
    from ptmoe.runtime.errors import DataError
    from ptmoe.serving.opened import Limits, named_adapters, open_house
    from ptmoe.serving.predict import answer_questions, read_questions

    if args.context is not None and args.question is None:
        raise DataError("--context belongs to --question; give the contexts of a file in its lines")
    limits = Limits(args.max_new_tokens, args.max_length, args.max_batch_tokens)
    with tempfile.TemporaryDirectory() as scratch:
        # Names of a user's kind: messages show them.
        asked, printed = Path(scratch, "questions.jsonl"), Path(scratch, "answers.jsonl")
        if args.question is not None:
            asked.write_text(json.dumps({"question": args.question, "context": args.context}), encoding="utf-8")
        elif args.input == "-":
            with asked.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            asked = Path(args.input)
        out = printed if args.output == "-" else Path(args.output)
        # What is said belongs beside the answers only where these do not go to the standard output.
        with contextlib.redirect_stdout(sys.stderr) if out == printed else contextlib.nullcontext():
            questions = list(read_questions(asked))
            house = open_house(named_adapters(args.adapter), limits, args.base, args.trust_remote_code)
            answer_questions(questions, house, out)
        if out == printed:
            for line in printed.read_text(encoding="utf-8").splitlines():
                print(_as_text(json.loads(line)) if args.question is not None else line)


def _as_text(answer: dict) -> str:
    """Writes one answer for reading, with the expert where a router chose one."""
    name = f"{answer['adapter']}: " if "adapter" in answer else ""
    gate = "" if answer["expert"] is None else "  (expert {expert}, gate {expert_probability:.2f})".format(**answer)
    return f"{name}{answer['prediction']}{gate}"
