"""Parquet files from outside: what a few bytes of them may expand to is bounded, as for gzip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptmoe.runtime.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

# Text shrinks three to thirty times, and a passage has thousands of characters; what is beyond these is no data set.
LARGEST_RATIO, FREE_BYTES = 200, 1 << 26
BATCH_ROWS = 512
BATCH_BYTES = 1 << 30


def bounded_batches(
    file: parquet.ParquetFile, size: int, name: str, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a file of `size` bytes in batches; dictionaries are decoded.

    A dictionary can stand for a long text in any number of rows. So a batch has only as many rows as can each hold all
    that the pages of the first row take in memory, in which its dictionaries are.

    Raises:
        DataError: by its footer, which may lie, or by what was read, it expands as no text does.
    """
    import pyarrow as pa

    pool, left, facts = pa.default_memory_pool(), max(FREE_BYTES, LARGEST_RATIO * size), file.metadata
    for group in range(facts.num_row_groups):
        _check(left - _stated(facts.row_group(group)), name)
        before, first = pool.bytes_allocated(), file.iter_batches(1, row_groups=[group], columns=columns)
        read = next(first, None)
        rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, pool.bytes_allocated() - before)))
        del first, read
        for batch in file.iter_batches(rows, row_groups=[group], columns=columns):
            plain = [
                column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
                for column in batch.columns
            ]
            left -= batch.num_rows + sum(column.nbytes for column in plain)
            _check(left, name)
            yield pa.RecordBatch.from_arrays(plain, batch.schema.names, metadata=batch.schema.metadata)


def _stated(group: parquet.RowGroupMetaData) -> int:
    parts = [group.column(number) for number in range(group.num_columns)]
    return sum(max(part.total_uncompressed_size, part.num_values) for part in parts)


def _check(left: int, name: str) -> None:
    if left < 0:
        raise DataError(f"{name} expands to over {LARGEST_RATIO} times its size, which no text does; it was not read")
