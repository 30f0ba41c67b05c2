"""Answers written line by line, so that an interrupted run continues at the first missing row."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from ptmoe.generation.answer import Answer
from ptmoe.runtime.files import digest_of

FLUSH_ROWS = 64


class PartialAnswers:
    """A folder of lines, apart from the output, so that it is never taken for complete output.

    Every process appends to its own file and reads those of all.

    Args:
        root: the folder's parent.
        name: of the run.
        about: everything that determines the answers; any difference gives another folder.
        process: number of this process.
    """

    def __init__(self, root: Path, name: str, about: dict[str, Any], process: int) -> None:
        self.folder = root / f"{name}-generate-{digest_of(about)}"
        self._path = self.folder / f"{process}.jsonl"
        self._file: IO[str] | None = None
        self._unflushed = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8")
        # A line that was cut short must not swallow the next one.
        self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def add(self, answer: Answer) -> None:
        """Appends one answer."""
        assert self._file is not None
        self._file.write(json.dumps(asdict(answer)) + "\n")
        self._unflushed += 1
        if self._unflushed == FLUSH_ROWS:
            self._file.flush()
            self._unflushed = 0

    def read(self) -> dict[int, Answer]:
        """Returns all complete answers by row."""
        answers = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    answer = Answer(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                answers[answer.row] = answer
        return answers

    def remove(self) -> None:
        """Removes the lines; call it once the output is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
