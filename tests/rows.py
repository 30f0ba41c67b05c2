"""Encoded rows that a test makes up, as the file that the encode stage would write."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from ptmoe.rows.encoded import REPORT, SCHEMA, Encoded
from ptmoe.runtime.files import sha256_of, write_json


def write_rows(path: Path, *batches: list[Encoded]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as out:
        for rows in batches:
            out.write_batch(pa.RecordBatch.from_pylist([asdict(row) for row in rows], SCHEMA))


def list_rows(folder: Path) -> None:
    """Writes the report of the encode stage: a template and the checksum of each set that is there."""
    sets = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.arrow")}
    template = {"instruction": "", "input": "{question}", "cue": "Answer:"}
    write_json(folder / REPORT, {"template": template} | {n: {"sha256": sha256_of(path)} for n, path in sets.items()})
