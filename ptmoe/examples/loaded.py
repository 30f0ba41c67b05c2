"""A user's source in any format that `datasets` reads, with a mapping of its columns.

The rows are written to one JSONL file in the format of own data, so that later stages need not know about tables.
The published sources keep our own readers, which name the line of a damaged file and read XML.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.config.params import TableParams
from ptmoe.examples.converters.own import own
from ptmoe.examples.records import Record, check_expansion
from ptmoe.examples.tables import quiet
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import scratch_folder, whole_file
from ptmoe.sources.raw import unread
from ptmoe.sources.remote import fetch_snapshot

if TYPE_CHECKING:
    from datasets import Dataset

# Tables only: other forms of `datasets` hold pictures, or unpack what they find.
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow")
_PACKED = tuple(f"{ending}{packed}" for ending in ENDINGS for packed in ("", ".gz"))


def fetch_table(name: str, table: TableParams, folder: Path) -> tuple[str, list[Path]]:
    """Puts the rows of a table into `<folder>/<name>.jsonl`; returns where they came from, in words, and the file.

    Raises:
        DataError: the table cannot be read, lacks a column, or a row is not a question with an answer.
    """
    path, origin = _found(f"data.files.{name}", table)
    out = folder / f"{name}.jsonl"
    with scratch_folder(folder) as cache:
        rows, left = _read(path, table, str(cache))
        rows, columns = rows.flatten(), _columns(table)
        for key, column in columns.items():
            if column not in rows.column_names:
                has = ", ".join(sorted(rows.column_names))
                raise DataError(f"{table.path} has no column {column!r} for columns.{key}; it has {has}")
        with whole_file(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as lines:
            used: Any = rows.select_columns(list(dict.fromkeys(columns.values())))
            for number, row in enumerate(_rows(used, table.path), 1):
                values: dict[str, Any] = {key: row[column] for key, column in columns.items()}
                answers = values["answers"] if isinstance(values["answers"], list) else [values["answers"]]
                values["answers"] = [_text(answer) for answer in answers if answer is not None]
                values |= {key: _text(values[key]) for key in ("id", "group") if key in values}
                own(Record(values, f"{table.path}, row {number}"), name)
                lines.write(json.dumps(values, ensure_ascii=False) + "\n")
    return origin + left, [out]


def _rows(used: Dataset, path: str) -> Iterator[Any]:
    try:
        yield from used
    except UnicodeDecodeError as error:  # Arrow looks at a text only when it is taken out
        raise DataError(f"{path} holds a text that is not UTF-8 ({error.reason}); save it as UTF-8") from None


def _found(key: str, table: TableParams) -> tuple[Path, str]:
    """Returns the file or folder on this machine, from the Hub where `revision` says so, and where it is from."""
    if table.revision:
        snapshot = fetch_snapshot(table.path, table.revision, ["README.md", *(f"*{ending}" for ending in _PACKED)])
        return snapshot, f"{table.path} at {snapshot.name}"
    path = Path(table.path)
    if not path.exists():
        raise DataError(f"{key}: {path} does not exist; give a file, a folder, or an id on the Hub with its revision")
    if path.is_file() and not path.name.lower().endswith(_PACKED):
        raise DataError(f"{key}: {path} has an unknown format; allowed: {', '.join(ENDINGS)}, also with .gz")
    return path, f"local {path}"


def _read(path: Path, table: TableParams, cache: str) -> tuple[Dataset, str]:
    """Reads a file or folder and names its files that were not read; unpacked and converted ones go to `cache`."""
    place = f"{table.path} at {table.revision}" if table.revision else table.path
    with quiet():
        try:
            check_expansion(path)
            splits, left = _splits(path, table, cache)
        except DataError as error:
            raise DataError(f"{place} {error}") from None
        except Exception as error:  # each format's reader raises its own errors; the innermost one names the cause
            reason = " ".join(str(error.__cause__ or error).split())
            raise DataError(f"{place} cannot be read ({reason:.300})") from None
    if table.split not in splits and (table.split or len(splits) != 1):
        wrong = f"has no split {table.split!r}" if table.split else "has several splits; set `split`"
        raise DataError(f"{place} {wrong}; allowed: {', '.join(splits)}")
    return splits[table.split or next(iter(splits))], left


def _splits(path: Path, table: TableParams, cache: str) -> tuple[dict[str, Dataset], str]:
    from datasets import Dataset, load_dataset_builder, load_from_disk

    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        saved: Any = load_from_disk(path)
        return {"train": saved} if isinstance(saved, Dataset) else saved, ""
    folder, pattern = (path, None) if path.is_dir() else (path.parent, glob.escape(str(path.resolve())))
    builder = load_dataset_builder(str(folder), data_files=pattern, name=table.name or None, cache_dir=cache)
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in ("csv", "json", "parquet", "arrow"):
        raise DataError(f"holds files of the kind {kind!r}; allowed: {', '.join(ENDINGS)}")
    if kind == "csv":
        # As written: neither `007` nor `NA` nor an empty cell is anything but a text.
        config: Any = builder.config
        config.converters, config.keep_default_na = dict.fromkeys(_columns(table).values(), str), False
    builder.download_and_prepare()
    made: Any = builder.as_dataset()
    used: Any = builder.config.data_files or {}
    return made, "" if pattern else unread(path, [Path(file) for files in used.values() for file in files], _PACKED)


def _columns(table: TableParams) -> dict[str, str]:
    return {key: column for key, column in table.columns.model_dump().items() if column}


def _text(value: Any) -> Any:
    """Makes a text of a number; what is neither is left for `own` to refuse."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
