"""A scores file: one row per example, the metric's columns, and the metric's name in the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ptmoe.runtime.errors import DataError, ScoringError, first_line
from ptmoe.runtime.files import whole_file
from ptmoe.runtime.parquet import bounded_batches
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.registry import load_metric

BY_EXPERT = "by_expert"
_METRIC = b"metric"


def write_scores(path: Path, metric: Metric, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes id, dataset, group, the metric's columns in 0..1, and by_expert (null where no expert was forced)."""
    texts, numbers = dict.fromkeys(("id", "dataset", "group"), pa.string()), dict.fromkeys(metric.columns, pa.float64())
    schema = pa.schema(texts | numbers | {BY_EXPERT: pa.list_(pa.float64())}, {_METRIC: metric.name})
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist([*rows], schema), temporary)


def read_scores(source: Path | IO[bytes]) -> tuple[Metric, pa.Table]:
    """Reads a scores file and its metric.

    Raises:
        ScoringError: it is not a complete parquet file, or not a scores file.
    """
    table = read_table(source)
    name = (table.schema.metadata or {}).get(_METRIC, b"").decode()
    if not name:
        raise ScoringError(f"{source} names no metric in its schema; score the predictions again")
    metric = load_metric(name)
    missing = {"id", "dataset", *metric.columns} - set(table.column_names)
    if missing:
        raise ScoringError(f"{source} lacks the columns {', '.join(sorted(missing))}; score the predictions again")
    _check(table, metric, source)
    return metric, table


def read_table(source: Path | IO[bytes], needed: Sequence[str] = ()) -> pa.Table:
    """Reads a parquet file; raises `ScoringError` when it is none, expands without end or lacks a column."""
    try:
        with pa.OSFile(str(source)) if isinstance(source, Path) else pa.PythonFile(source, "r") as opened:
            file = pq.ParquetFile(opened)
            batches = list(bounded_batches(file, opened.size(), str(source)))
            table = pa.Table.from_batches(batches, None if batches else file.schema_arrow).combine_chunks()
    except DataError as error:
        raise ScoringError(str(error)) from None
    except (pa.ArrowException, OSError) as error:
        raise ScoringError(f"{source} is not a complete parquet file ({first_line(error):.200})") from None
    missing = set(needed) - set(table.column_names)
    if missing:
        raise ScoringError(f"{source} lacks the columns {', '.join(sorted(missing))}; make it again with `dvc repro`")
    return table


def _check(table: pa.Table, metric: Metric, source: object) -> None:
    """Refuses keys that tell no example, and numbers that are no shares; one that is missing is the caller's matter."""
    for name in ("id", "dataset"):
        if not pa.types.is_string(table.schema.field(name).type) or table[name].null_count:
            raise ScoringError(f"{source}: {name} must be a text in each row; score the predictions again")
    if table.select(["dataset", "id"]).group_by(["dataset", "id"]).aggregate([]).num_rows < table.num_rows:
        raise ScoringError(f"{source} holds an example twice; score the predictions again")
    for name in metric.columns:
        if not pa.types.is_floating(table.schema.field(name).type):
            raise ScoringError(f"{source}: {name} must be a number in each row; score the predictions again")
        values = table[name].to_numpy()
        if ((values < 0) | (values > 1)).any():
            raise ScoringError(
                f"{source}: {name} goes from {np.nanmin(values)} to {np.nanmax(values)}; allowed: 0 to 1"
            )
