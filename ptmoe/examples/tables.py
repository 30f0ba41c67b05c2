"""Examples as parquet files, written and read in batches so that memory stays small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ptmoe.examples.example import Example
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import whole_file

FIELDS = [field.name for field in fields(Example)]
SCHEMA = pa.schema([(name, pa.list_(pa.string()) if name == "answers" else pa.string()) for name in FIELDS])
BATCH_ROWS = 2048
GATHERED_ROWS = 16384


def to_batch(examples: list[Example]) -> pa.RecordBatch:
    """Makes one batch of rows."""
    columns = [[getattr(example, name) for example in examples] for name in FIELDS]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def from_batch(batch: pa.RecordBatch) -> list[Example]:
    """Returns the examples of one batch."""
    columns = [batch.column(name).to_pylist() for name in FIELDS]
    return [Example(*row) for row in zip(*columns, strict=True)]


def batched(examples: Iterable[Example], rows: int = BATCH_ROWS) -> Iterator[list[Example]]:
    """Yields lists of at most `rows` examples."""
    batch: list[Example] = []
    for example in examples:
        batch.append(example)
        if len(batch) == rows:
            yield batch
            batch = []
    if batch:
        yield batch


def write_batches(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Writes a parquet file, whole or not at all; the same rows give the same bytes."""
    with whole_file(path) as temporary, parquet.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def gather(batches: list[pa.RecordBatch], rows: np.ndarray) -> Iterator[pa.RecordBatch]:
    """Yields the rows with the given numbers, in that order, from batches of `BATCH_ROWS` rows each.

    Arrow's own `take` joins all batches first, which fails beyond 2 GiB of text.

    Args:
        batches: all of `BATCH_ROWS` rows but the last.
        rows: [n] row numbers.
    """
    for start in range(0, len(rows), GATHERED_ROWS):
        wanted = rows[start : start + GATHERED_ROWS]
        order = np.argsort(wanted, kind="stable")
        holder, place = np.divmod(wanted[order], BATCH_ROWS)
        cuts = np.flatnonzero(np.diff(holder)) + 1
        parts = zip(np.split(holder, cuts), np.split(place, cuts), strict=True)
        joined = pa.concat_batches([batches[int(number[0])].take(pa.array(places)) for number, places in parts])
        yield joined.take(pa.array(np.argsort(order)))


def read_batches(path: Path, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Streams the rows of a file that `write_batches` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(rows, columns=FIELDS)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; run `dvc repro split`") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is no whole parquet file ({' '.join(str(error).split())})") from None


def read_examples(path: Path) -> Iterator[Example]:
    """Streams the examples of a split."""
    for batch in read_batches(path):
        yield from from_batch(batch)


def row_count(path: Path) -> int:
    """Returns the number of rows of a file that `write_batches` wrote."""
    return parquet.read_metadata(path).num_rows if path.is_file() else 0
