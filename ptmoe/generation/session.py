"""Distributes rows over the processes, and keeps each answer as soon as it is complete."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptmoe.generation.answer import Answer
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.files import digest_of
from ptmoe.runtime.progress import Progress, say

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ptmoe.generation.decode import Decoder


class Session:
    """Answers rows with one model; a restarted session continues at the first missing row.

    Answers are kept in a folder apart from the output, so that they are never taken for complete output. Every
    process appends to its own file there and reads those of all.

    Args:
        root: the folder's parent.
        name: of the rows, for messages and files.
        rows: all rows.
        decoder: answers this process's share.
        about: everything that determines the answers; any difference gives another folder.
        accelerator: knows the processes.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        rows: Sequence[Encoded],
        decoder: Decoder,
        about: dict[str, Any],
        accelerator: Accelerator,
    ) -> None:
        self._root, self._name, self._rows, self._decoder = root, name, rows, decoder
        self._digest, self._accelerator = digest_of(about), accelerator
        self._lengths = np.array([row.prompt_length for row in rows])
        self._folders: list[Path] = []
        self._answered = self._tokens = 0
        self._seconds = 0.0

    def answer(self, wanted: Sequence[int], variant: str = "") -> dict[int, Answer]:
        """Returns the answers to the rows of these numbers, on every process.

        Args:
            variant: distinguishes answers to the same rows under different settings of the method.
        """
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        name = f"{self._name}-{variant}" if variant else self._name
        folder = self._root / f"{name}-generate-{self._digest}"
        self._folders.append(folder)
        done = _read_answers(folder)
        if done and self._accelerator.is_main_process:
            say(f"{name}: continuing after {len(done)} of {len(wanted)} answers")
        order = sorted(wanted, key=lambda row: -self._lengths[row])
        missing = np.array([row for row in order if row not in done], dtype=np.int64)
        mine = missing[process::processes]
        self._accelerator.wait_for_everyone()  # nobody writes before all have read
        started_s, tokens = time.perf_counter(), 0
        with _appending(folder / f"{process}.jsonl") as add, Progress(f"Answering {name}", len(mine), "rows") as shown:
            for answer in self._decoder.decode([self._rows[row] for row in mine], self._lengths[mine]):
                answer.row = int(mine[answer.row])
                add(answer)
                tokens += len(answer.tokens)
                shown.advance(1, f"{tokens / (time.perf_counter() - started_s):.0f} tokens/s")
        self._accelerator.wait_for_everyone()
        self._seconds += time.perf_counter() - started_s
        self._tokens += tokens
        self._answered += len(missing)
        answers = _read_answers(folder)
        self._accelerator.wait_for_everyone()  # nobody removes before all have read
        return answers

    def cost(self) -> dict[str, Any]:
        """Returns rows, tokens and seconds so far; the tokens of all processes are estimated from this one's."""
        tokens = self._tokens * self._accelerator.num_processes
        return {
            "seconds": self._seconds,
            "rows": self._answered,
            "tokens": tokens,
            "tokens_per_second": tokens / self._seconds,
            "processes": self._accelerator.num_processes,
            "device": self._accelerator.device.type,
        }

    def remove(self) -> None:
        """Removes what was kept; call it once the output is written."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _appending(path: Path) -> Iterator[Callable[[Answer], object]]:
    """Yields a function that appends an answer to a file as one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as file:
        file.write("\n")  # a line that was cut short must not swallow the next one
        yield lambda answer: file.write(json.dumps(asdict(answer)) + "\n")


def _read_answers(folder: Path) -> dict[int, Answer]:
    """Returns all complete answers by row."""
    answers = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                answer = Answer(**json.loads(line))
            except (ValueError, TypeError):
                continue
            answers[answer.row] = answer
    return answers
