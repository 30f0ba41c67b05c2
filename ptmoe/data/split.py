"""The split stage: training and validation rows by group, and the official test sets, whole.

The order of everything is the order of a hash of the row itself, so that neither the order of the raw files nor
that of their lines changes which row lies on which side.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ptmoe.data.convert import Tally, examples_of
from ptmoe.data.download import raw_files
from ptmoe.data.example import Example
from ptmoe.data.sources import Use, uses
from ptmoe.data.tables import BATCH_ROWS, SCHEMA, batched, to_batch, write_batches
from ptmoe.data.text import digest
from ptmoe.errors import DataError
from ptmoe.files import write_json
from ptmoe.params import DataParams
from ptmoe.progress import say

SALT = "split"


@dataclass
class Rows:
    """Examples of a source in a memory-mapped file, and the small columns that decide on them.

    Attributes:
        table: all rows, on disk.
        keys: [rows] hash of each row.
        groups: [rows] hash of each row's group.
    """

    table: pa.Table
    keys: np.ndarray
    groups: np.ndarray

    def batches(self, chosen: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Yields the chosen rows [n] in their order."""
        for start in range(0, len(chosen), BATCH_ROWS):
            yield from self.table.take(chosen[start : start + BATCH_ROWS]).combine_chunks().to_batches()


def split_task(task: str, data: DataParams, raw: Path, out: Path) -> None:
    """Writes train, validation and test rows of a task.

    Args:
        task: the task's name, for messages.
        data: its sources and sizes.
        raw: the folder that `download_task` wrote.
        out: the stage's output folder.

    Raises:
        DataError: a raw file is missing or malformed, or there are too few rows.
    """
    out.mkdir(parents=True, exist_ok=True)
    tasks_uses = uses(data)
    counts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=out, prefix=".rows-") as scratch:
        training = [use for use in tasks_uses if use.role == "train"]
        rows = _stored(_training_examples(training, raw, counts), Path(scratch) / "train.arrow")
        train, validation, beyond = choose(rows.keys, rows.groups, data.validation_rows, data.train_rows)
        if not len(train):
            raise DataError(
                f"{task}: {len(rows.keys)} training rows leave none beside validation; lower validation_rows"
            )
        write_batches(out / "train.parquet", rows.batches(train))
        write_batches(out / "validation.parquet", rows.batches(validation))
        sizes = {"train": len(train), "validation": len(validation), "beyond_validation_rows": beyond}
        datasets: dict[str, dict[str, Any]] = {}
        for use in tasks_uses:
            if use.role != "train":
                _write_tests(use, data.test_rows, raw, Path(scratch), out, counts, datasets)
    write_json(out / "datasets.json", datasets)
    write_json(out / "split.json", {"sizes": sizes, "sources": counts})
    tests = sum(entry["rows"] for entry in datasets.values())
    say(f"{task}: {len(train)} training, {len(validation)} validation, {tests} test rows in {len(datasets)} sets")


def _training_examples(training: list[Use], raw: Path, counts: dict[str, Any]) -> Iterator[Example]:
    for use in training:
        tally = Tally()
        yield from examples_of(use.name, use.source, raw_files(raw / use.name), True, tally)
        counts[use.name] = tally.summary()


def _content(example: Example) -> tuple[str, ...]:
    # Not the id: where a source repeats one, the number added to it depends on the order of the file.
    return (SALT, example.dataset, example.question, example.context, example.target)


def _stored(examples: Iterator[Example], path: Path) -> Rows:
    """Writes rows to an Arrow file and maps it, so that a training set larger than memory can be split."""
    keys: list[int] = []
    groups: list[int] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for batch in batched(examples):
            keys += [int(digest(*_content(example)), 16) for example in batch]
            groups += [int(digest(SALT, example.group), 16) for example in batch]
            writer.write_batch(to_batch(batch))
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return Rows(table, np.array(keys, np.uint64), np.array(groups, np.uint64))


def choose(
    keys: np.ndarray, groups: np.ndarray, validation_rows: int, train_rows: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Divides rows so that a group lies on one side.

    Whole groups go to validation, in the order of their hash, until it has `validation_rows` rows; what the last
    group has beyond that is left out of both sides.

    Args:
        keys: [rows] hash of each row.
        groups: [rows] hash of each row's group.
        validation_rows: rows wanted for validation.
        train_rows: the most rows for training; 0 for all.

    Returns:
        train [n] and validation [m] as row numbers in the order of their hash, and the number of rows left out.
    """
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    taken = int(np.searchsorted(np.cumsum(sizes), validation_rows) + 1)
    order = np.argsort(keys, kind="stable")
    validating = (member < taken)[order]
    validation, train = order[validating], order[~validating]
    beyond = max(len(validation) - validation_rows, 0)
    return train[: train_rows or None], validation[:validation_rows], beyond


def _write_tests(
    use: Use, limit: int, raw: Path, scratch: Path, out: Path, counts: dict[str, Any], datasets: dict[str, Any]
) -> None:
    """Writes each test set of a source in its official order; with a limit, a seeded part of it."""
    tally = Tally()
    rows = _stored(
        examples_of(use.name, use.source, raw_files(raw / use.name), False, tally), scratch / f"{use.name}.arrow"
    )
    counts[use.name] = tally.summary()
    names = np.array(rows.table.column("dataset").to_pylist())
    in_order = [name for name in use.source.datasets if name in tally.rows]
    for name in dict.fromkeys([*in_order, *tally.rows]):
        if name in datasets:
            raise DataError(f"two test sources hold a data set {name!r}; leave one of them out")
        chosen = np.flatnonzero(names == name)
        if limit:
            chosen = np.sort(chosen[np.argsort(rows.keys[chosen], kind="stable")[:limit]])
        write_batches(out / "test" / f"{name}.parquet", rows.batches(chosen))
        datasets[name] = {"domain": use.role, "rows": len(chosen)}
