"""Encoded rows that a test makes up, as the file that the encode stage would write."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from ptmoe.rows.encoded import SCHEMA, Encoded


def write_rows(path: Path, *batches: list[Encoded]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as out:
        for rows in batches:
            out.write_batch(pa.RecordBatch.from_pylist([asdict(row) for row in rows], SCHEMA))
