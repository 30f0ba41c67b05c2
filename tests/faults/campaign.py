"""Runs commands on malformed inputs and counts by kind what became of them.

python -m tests.faults.campaign --cases 5000 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from runpy import run_module
from unittest import mock

import huggingface_hub.constants
import transformers  # noqa: F401  its log handler must not keep the stream of one case

from ptmoe.cli import main as ptmoe
from ptmoe.runtime.stopping import time_limit
from tests.faults.malformed import Case, Malformed

# Of wall-clock time, on a machine that may be busy.
LONGEST_S = 300
GOOD = ("refused", "right")


def outcome(case: Case) -> tuple[str, str]:
    """Runs a case in a folder of its own; returns `refused`, `right` or what is wrong, and what was said."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in case.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        os.chdir(folder)
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), heard(err), time_limit(LONGEST_S):
                status = _status(case.arguments)
        except TimeoutError:
            return "hung", ""
        except Exception:
            return "traceback", traceback.format_exc()
        finally:
            os.chdir(before)
        said = err.getvalue()
        if status == 0:
            if case.refuse:
                return "accepted", out.getvalue()
            return ("right" if case.right(folder, out.getvalue()) else "wrong"), out.getvalue()
        if status != 2:
            return f"status {status}", said
        present = {path: (folder / path).read_bytes() for path in case.files if (folder / path).is_file()}
        # A stage's lock is empty of results and stays.
        written = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
        if present != case.files or len(written) != len(case.files):
            return "written", said
        return ("refused" if one_message(said) else "words"), said


@contextlib.contextmanager
def heard(stream: io.StringIO) -> Iterator[None]:
    """Lets the logs of the libraries, whose handlers hold an older standard error, be said on this one."""
    handler, loggers = logging.StreamHandler(stream), [logging.getLogger(name) for name in ("datasets", "transformers")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _status(arguments: list[str]) -> int:
    try:
        if not arguments[0].startswith("stages."):
            return ptmoe(arguments)
        with mock.patch.object(sys, "argv", arguments):
            run_module(arguments[0], run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def one_message(said: str) -> bool:
    """Tells whether a standard error holds one message and nothing else; argparse says the usage before it."""
    head = re.compile(r"((ptmoe|stages)[a-z. ]*: )?error: .")
    lines = said.splitlines()
    at = next((number for number, line in enumerate(lines) if head.match(line)), -1)
    usage, listed = lines[:at], lines[at + 1 :]
    usual = all(line.startswith(("usage: ", " ")) for line in usage) and all(line.startswith(" ") for line in listed)
    return at >= 0 and usual and "Traceback" not in said and len(said) < 4000


def campaign(malformed: Malformed, cases: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Runs cases; returns the counts of outcomes by kind, and a line for each that is neither refused nor right."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in malformed.kinds}
    failures = []
    with mock.patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True):
        for number in range(cases):
            kind, case = malformed.case(number, seed)
            found, said = outcome(case)
            counts[kind][found] += 1
            if found not in GOOD:
                last = (said.strip().splitlines() or [""])[-1]
                failures.append(f"{kind} {number}, seed {seed}: {found}: {case.note!r:.120}: {last:.200}")
                print(failures[-1], flush=True)
    return counts, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts, failures = campaign(Malformed(Path(folder)), arguments.cases, arguments.seed)
    print(f"{'kind':<10}{'cases':>7}{'refused':>9}{'right':>7}  neither")
    for kind, found in counts.items():
        neither = ", ".join(f"{count} {what}" for what, count in found.items() if what not in GOOD) or "0"
        print(f"{kind:<10}{found.total():>7}{found['refused']:>9}{found['right']:>7}  {neither}")
    print(f"{arguments.cases} cases in {time.monotonic() - began:.0f} s, {len(failures)} neither refused nor right")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
