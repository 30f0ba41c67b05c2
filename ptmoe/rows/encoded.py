"""Token ids on disk: one Arrow file a set, memory-mapped, so that opening costs nothing and workers share pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import whole_file

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("dataset", pa.string()),
        ("input_ids", pa.list_(pa.int32())),
        ("prompt_length", pa.int32()),
        ("question_start", pa.int32()),
        ("question_end", pa.int32()),
        ("answers", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as token ids.

    Attributes:
        id: the example's id.
        dataset: its data set.
        input_ids: [T] int32; the prompt, then, where it is trained on, the target and the end of turn.
        prompt_length: tokens of the prompt; T for a test row.
        question_start: first token of the question.
        question_end: one past the last token of the question.
        answers: the gold answers.
    """

    id: str
    dataset: str
    input_ids: np.ndarray
    prompt_length: int
    question_start: int
    question_end: int
    answers: list[str]


def write_encoded(path: Path, batches: Iterable[list[Encoded]]) -> None:
    """Writes a set, whole or not at all; memory holds one batch."""
    with whole_file(path) as temporary, pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, SCHEMA) as out:
        for batch in batches:
            ids = [row.input_ids for row in batch]
            offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int32)
            values = np.concatenate([np.empty(0, np.int32), *ids]).astype(np.int32)
            columns = {
                name: pa.array([getattr(row, name) for row in batch], SCHEMA.field(name).type)
                for name in SCHEMA.names
                if name != "input_ids"
            }
            columns["input_ids"] = pa.ListArray.from_arrays(offsets, values)
            out.write_batch(pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA))


class EncodedSet(Sequence[Encoded]):
    """The rows of one file, read from the disk as they are asked for.

    Attributes:
        lengths: [rows] tokens of each row.
        prompt_lengths: [rows] tokens of each row's prompt.

    Raises:
        DataError: the file is missing or is no whole Arrow file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with pa.memory_map(str(self.path)) as file:
                reader = pa.ipc.open_file(file)
                batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except FileNotFoundError:
            raise DataError(f"{self.path} is missing; run `dvc repro encode`") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.path} is no whole file ({error}); run `dvc repro --force encode`") from None
        self._batches = [batch for batch in batches if batch.num_rows]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)
        self._offsets = [batch.column("input_ids").offsets.to_numpy() for batch in self._batches]
        self._values = [batch.column("input_ids").values.to_numpy() for batch in self._batches]
        nothing = [np.empty(0, np.int32)]
        self.lengths: np.ndarray = np.concatenate(nothing + [np.diff(offsets) for offsets in self._offsets])
        prompts = [batch.column("prompt_length").to_numpy() for batch in self._batches]
        self.prompt_lengths: np.ndarray = np.concatenate(nothing + prompts)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoded]: ...
    def __getitem__(self, index: int | slice) -> Encoded | list[Encoded]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)} rows in {self.path}")
        index = int(index) % len(self)
        number = int(np.searchsorted(self._ends, index, side="right"))
        batch, offsets = self._batches[number], self._offsets[number]
        row = index - (int(self._ends[number]) - batch.num_rows)
        return Encoded(
            id=batch.column("id")[row].as_py(),
            dataset=batch.column("dataset")[row].as_py(),
            input_ids=self._values[number][offsets[row] : offsets[row + 1]],
            prompt_length=batch.column("prompt_length")[row].as_py(),
            question_start=batch.column("question_start")[row].as_py(),
            question_end=batch.column("question_end")[row].as_py(),
            answers=batch.column("answers")[row].as_py(),
        )

    def __iter__(self) -> Iterator[Encoded]:
        return (self[number] for number in range(len(self)))

    def __reduce__(self) -> tuple[type[EncodedSet], tuple[Path]]:
        # A worker process maps the file anew instead of receiving its bytes.
        return EncodedSet, (self.path,)
