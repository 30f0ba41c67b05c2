"""Token ids on disk: one Arrow file a set, memory-mapped, so that opening costs nothing and workers share pages.

The encode stage writes the files through `datasets`, and `datasets.Dataset.from_file` opens them. Training and
generation read them through pyarrow instead: importing `datasets` would cost each of their cells 0.6 s, and 16 rows
by number take 0.2 ms this way against 0.8 ms as one list of a `Dataset` (3.7 ms one by one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.strict_json import parse_json

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
REPORT = "encode.json"
# The end of an Arrow stream: without this check a file cut between two batches would be accepted.
_END = b"\xff\xff\xff\xff\0\0\0\0"


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


class EncodedSet(Sequence[Encoded]):
    """The rows of one file, read from disk on access.

    Attributes:
        lengths: [rows] tokens of each row.
        prompt_lengths: [rows] tokens of each row's prompt.
        dataset_numbers: [rows] number of each row's data set, in the order in which these appear.

    Raises:
        DataError: the file is missing or is not a complete Arrow file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with pa.memory_map(str(self.path)) as file:
                table = pa.ipc.open_stream(file).read_all()
                if file.read_at(len(_END), file.size() - len(_END)) != _END:
                    raise pa.ArrowInvalid("its end is missing")
        except FileNotFoundError:
            raise DataError(f"{self.path} is missing; run `dvc repro encode`") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.path} is not a complete file ({error}); run `dvc repro --force encode`") from None
        self._columns = {name: table[name] for name in SCHEMA.names}
        lengths = pc.call_function("list_value_length", [table["input_ids"]])
        # Not `to_numpy`, which would import pandas.
        self.lengths: np.ndarray = np.from_dlpack(lengths.combine_chunks())
        self.prompt_lengths: np.ndarray = np.from_dlpack(table["prompt_length"].combine_chunks())
        named = table["dataset"].combine_chunks().dictionary_encode()
        self.dataset_numbers: np.ndarray = np.from_dlpack(named.indices).astype(np.int64)

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
        row = {name: column[index] for name, column in self._columns.items()}
        ids = np.from_dlpack(row.pop("input_ids").values)
        return Encoded(input_ids=ids, **{name: value.as_py() for name, value in row.items()})

    def __reduce__(self) -> tuple[type[EncodedSet], tuple[Path]]:
        # A worker process maps the file anew instead of receiving its bytes.
        return EncodedSet, (self.path,)


def open_encoded(folder: Path, name: str) -> EncodedSet:
    """Opens a set that the encode stage wrote, e.g. `test/SVAMP`, if its bytes are those that the stage listed.

    Raises:
        DataError: the file or the stage's report is missing, or changed since.
    """
    path, expected = folder / f"{name}.arrow", checksums(folder).get(name)
    if path.is_file() and (found := sha256_of(path)) != expected:
        raise DataError(
            f"{path} changed since it was written: its SHA-256 is {found}, {REPORT} lists {expected or 'none'}; "
            f"run `dvc repro encode@{folder.name}`"
        )
    return EncodedSet(path)


def checksums(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each set by its name, as the encode stage listed it; raises as `read_report`."""
    entries = read_report(folder).items()
    return {name: entry["sha256"] for name, entry in entries if isinstance(entry, dict) and "sha256" in entry}


def read_report(folder: Path) -> dict[str, Any]:
    """Reads what the encode stage writes last: the template, and rows and checksum of each set.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / REPORT
    try:
        report = parse_json(path.read_bytes())
        if isinstance(report["template"], dict):
            return report
        reason = "`template` is not an object"
    except FileNotFoundError:
        raise DataError(f"{path} is missing; run `dvc repro encode@{folder.name}`") from None
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error)
    raise DataError(f"{path} is damaged ({reason}); run `dvc repro encode@{folder.name}`")
