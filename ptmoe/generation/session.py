"""Distributes rows over the processes, and keeps each answer as soon as it is complete."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ptmoe.generation.answer import Answer
from ptmoe.generation.partial import PartialAnswers
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.progress import Progress, say

if TYPE_CHECKING:
    from accelerate import Accelerator


class Engine(Protocol):
    """Turns rows into answers."""

    def decode(self, rows: Sequence[Encoded], lengths: np.ndarray) -> Iterator[Answer]:
        """Yields every row's answer as it ends."""
        ...


class Session:
    """Answers rows with one model; a restarted session continues at the first missing row.

    Args:
        root: folder in which answers are kept until the output is written.
        name: of the rows, for messages and files.
        rows: all rows.
        engine: decodes this process's share.
        about: everything that determines the answers.
        accelerator: knows the processes.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        rows: Sequence[Encoded],
        engine: Engine,
        about: dict[str, Any],
        accelerator: Accelerator,
    ) -> None:
        self._root, self._name, self._rows, self._engine, self._about = root, name, rows, engine, about
        self._accelerator = accelerator
        self._lengths = np.array([row.prompt_length for row in rows])
        self._partials: list[PartialAnswers] = []
        self._answered = self._tokens = 0
        self._seconds = 0.0

    def answer(self, wanted: Sequence[int], variant: str = "") -> dict[int, Answer]:
        """Returns the answers to the rows of these numbers, on every process.

        Args:
            variant: distinguishes answers to the same rows under different settings of the method.
        """
        name = f"{self._name}-{variant}" if variant else self._name
        partial = PartialAnswers(self._root, name, self._about, self._accelerator.process_index)
        self._partials.append(partial)
        done = partial.read()
        if done and self._accelerator.is_main_process:
            say(f"{name}: continuing after {len(done)} of {len(wanted)} answers")
        order = sorted(wanted, key=lambda row: -self._lengths[row])
        missing = np.array([row for row in order if row not in done], dtype=np.int64)
        mine = missing[self._accelerator.process_index :: self._accelerator.num_processes]
        self._accelerator.wait_for_everyone()  # nobody writes before all have read
        started_s, tokens = time.perf_counter(), 0
        with partial, Progress(f"Answering {name}", len(mine), "rows") as progress:
            for answer in self._engine.decode([self._rows[row] for row in mine], self._lengths[mine]):
                answer.row = int(mine[answer.row])
                partial.add(answer)
                tokens += len(answer.tokens)
                progress.advance(1, f"{tokens / (time.perf_counter() - started_s):.0f} tokens/s")
        self._accelerator.wait_for_everyone()
        self._seconds += time.perf_counter() - started_s
        self._tokens += tokens
        self._answered += len(missing)
        answers = partial.read()
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
        for partial in self._partials:
            partial.remove()
