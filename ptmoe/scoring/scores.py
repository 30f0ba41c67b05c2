"""A scores file: one row per example, the metric's columns, and the metric's name in the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ptmoe.runtime.errors import ScoringError
from ptmoe.runtime.files import whole_file
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.registry import load_metric

BY_EXPERT = "by_expert"
_METRIC = b"metric"
_TYPES = {"id": pa.string(), "dataset": pa.string(), "group": pa.string(), BY_EXPERT: pa.list_(pa.float64())}


def write_scores(path: Path, metric: Metric, rows: Mapping[str, Sequence]) -> None:
    """Writes id, dataset, group, the metric's columns in 0..1, and by_expert (null where no expert was forced)."""
    columns = {name: pa.array(values, _TYPES.get(name, pa.float64())) for name, values in rows.items()}
    table = pa.table(columns).replace_schema_metadata({_METRIC: metric.name})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary)


def read_scores(source: Path | IO[bytes]) -> tuple[Metric, pa.Table]:
    """Reads a scores file and its metric.

    Raises:
        ScoringError: it is not a complete parquet file, or not a scores file.
    """
    try:
        table = pq.read_table(source)
    except (pa.ArrowInvalid, OSError) as error:
        raise ScoringError(f"{source} is not a complete scores file ({str(error).splitlines()[0]})") from None
    name = (table.schema.metadata or {}).get(_METRIC, b"").decode()
    if not name:
        raise ScoringError(f"{source} names no metric in its schema; score the predictions again")
    metric = load_metric(name)
    missing = {"id", "dataset", *metric.columns} - set(table.column_names)
    if missing:
        raise ScoringError(f"{source} lacks the columns {', '.join(sorted(missing))}; score the predictions again")
    return metric, table
