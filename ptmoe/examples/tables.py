"""Examples on disk: an Arrow file that grows row by row, and the parquet files of a split.

Both are read as `datasets.Dataset`, which maps them into memory, so that a set larger than memory can be handled.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from ptmoe.examples.example import Example
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import whole_file

if TYPE_CHECKING:
    from datasets import Dataset

FIELDS = [field.name for field in fields(Example)]
SCHEMA = pa.schema([(name, pa.list_(pa.string()) if name == "answers" else pa.string()) for name in FIELDS])
# Fixed, because it decides where the row groups of a file end and so its bytes.
BATCH_ROWS = 2048
WRITTEN_ROWS = 16384


@contextmanager
def quiet() -> Iterator[None]:
    """Hides the progress bars of `datasets` inside the block, and its log, which says an error once more."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    shown, verbosity = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            enable_progress_bars()


def collect(examples: Iterable[Example], path: Path) -> Dataset:
    """Writes examples to an Arrow file and returns them as a memory-mapped data set."""
    from datasets import Dataset, Features
    from datasets.arrow_writer import ArrowWriter

    with ArrowWriter(
        features=Features.from_arrow_schema(SCHEMA), path=str(path), writer_batch_size=BATCH_ROWS
    ) as writer:
        for example in examples:
            writer.write({name: getattr(example, name) for name in FIELDS})
        writer.finalize()
    return Dataset.from_file(str(path))


def write_examples(path: Path, examples: Dataset) -> None:
    """Writes a parquet file, whole or not at all; the same rows give the same bytes.

    `Dataset.to_parquet` writes the rows of a selection one slice a row, which takes four times as long.
    """
    with whole_file(path) as temporary, parquet.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        if len(examples):
            tables: Any = examples.with_format("arrow").iter(WRITTEN_ROWS)
            for table in tables:
                writer.write_table(table.combine_chunks())


def read_examples(paths: list[Path], cache_dir: Path) -> Dataset:
    """Reads parquet files as one data set, which is mapped from a file in `cache_dir` as long as it lives.

    Raises:
        DataError: a file is missing or damaged.
    """
    from datasets import Dataset, Features
    from datasets.exceptions import DatasetGenerationError

    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing; run `dvc repro split`")
    try:
        with quiet():
            read: Any = Dataset.from_parquet(
                [glob.escape(str(path)) for path in paths],
                features=Features.from_arrow_schema(SCHEMA),
                cache_dir=str(cache_dir),
            )
    except (DatasetGenerationError, pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise DataError(f"{', '.join(map(str, paths))}: not a complete parquet file ({reason})") from None
    return read


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ptmoe-examples-")


def load_examples(task: str, split: str = "train", root: str | Path = "data/split") -> Dataset:
    """Returns the examples of a task as the split stage wrote them, for notebooks.

    Args:
        task: e.g. `qa`.
        split: `train`, `validation`, `test` (all test sets, concatenated) or `test/<data set>`.
        root: the folder of all splits.

    Returns:
        rows with the columns of `Example`, memory-mapped from a file that is deleted when the process ends.

    Raises:
        DataError: the split stage has not run, or the task has no such split.
    """
    folder = Path(root) / task
    present = [str(path.relative_to(folder).with_suffix("")) for path in sorted(folder.rglob("*.parquet"))]
    if not present:
        raise DataError(f"{folder} holds no examples; run `dvc repro split` from the project's root")
    names = [name for name in present if name == split or (split == "test" and name.startswith("test/"))]
    if not names:
        raise DataError(f"{task} has no split {split!r}; allowed: test, {', '.join(present)}")
    return read_examples([folder / f"{name}.parquet" for name in names], Path(_scratch().name))
