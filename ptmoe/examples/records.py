"""Raw files as a stream of records, whatever the container: JSON, JSONL, XML (gzip or not) and parquet.

Invalid bytes (bad UTF-8, bad JSON, a truncated gzip) are an error that names file and line: the file is damaged, and
the rest of it cannot be trusted.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
from xml.etree import ElementTree

from ptmoe.runtime.errors import DataError
from ptmoe.runtime.parquet import FREE_BYTES, LARGEST_RATIO, bounded_batches
from ptmoe.runtime.strict_json import DECODER, check_characters, parse_json
from ptmoe.sources.raw import CONTAINERS

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_CHUNK_BYTES = 1 << 20
LARGEST_RECORD = 1 << 25
# What may stand before the first and between any two records of a list.
_BETWEEN = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
_REQUIRED: Any = object()
_NAMES = {str: "a string", list: "a list", dict: "an object", int: "a number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Record:
    """One raw record and its place, for messages."""

    values: dict[str, Any]
    where: str

    def refuse(self, problem: str) -> NoReturn:
        raise DataError(f"{self.where}: {problem}")

    def get(self, key: str, kind: type, default: Any = _REQUIRED) -> Any:
        """Returns a value of the given type; `null` counts as absent.

        Raises:
            DataError: the key is absent and has no default, or the value is of another type.
        """
        value = self.values.get(key)
        if value is None:
            if default is not _REQUIRED:
                return default
            self.refuse(f"the key {key!r} is missing; the record has {', '.join(self.values) or 'no keys'}")
        if not isinstance(value, kind):
            wanted, got = _NAMES[kind], _NAMES.get(type(value), type(value).__name__)
            self.refuse(f"{key!r} must be {wanted}, got {got}: {value!r:.80}")
        return value

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """Returns a string without the white space around it."""
        return self.get(key, str, default).strip()

    def number(self, key: str) -> str:
        """Returns a number, or a string, as a string: published files have `8`, `"8"` and `"8.0"`."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return self.text(key)
        return str(value).strip()

    def texts(self, key: str, default: Any = _REQUIRED) -> list[str]:
        """Returns a list of strings, those that hold nothing left out."""
        values = self.get(key, list, default)
        if not all(isinstance(value, str) for value in values):
            self.refuse(f"{key!r} must be a list of strings, got {values!r:.80}")
        return [value.strip() for value in values if value.strip()]

    def children(self, key: str) -> Iterator[Record]:
        """Yields the objects of a list."""
        for number, value in enumerate(self.get(key, list), 1):
            if not isinstance(value, dict):
                self.refuse(f"{key!r} must be a list of objects, got {value!r:.80}")
            yield Record(value, f"{self.where}, {key} {number}")


def container(path: Path) -> str:
    """Returns the container's name, e.g. `.jsonl`.

    Raises:
        DataError: the file's name ends in none of `CONTAINERS`.
    """
    for ending in CONTAINERS:
        if path.name.lower().endswith(ending):
            return ending.removesuffix(".gz")
    raise DataError(f"{path.name} has an unknown format; allowed: {', '.join(CONTAINERS)}")


def read_records(path: Path, columns: frozenset[str] = frozenset()) -> Iterator[Record]:
    """Streams the records of a file, whose name tells the container; of parquet only these columns, if any are given.

    Raises:
        DataError: the file is damaged; the message names file and line.
    """
    kind = container(path)
    if kind == ".parquet":
        yield from _read_parquet(path, columns)
        return
    with io.BufferedReader(_Expanded(path)) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        reader = {".jsonl": _read_lines, ".json": _read_json, ".xml": _read_xml}[kind]
        try:
            yield from reader(file, path.name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path.name}: the gzip data is truncated or damaged ({error}); fetch it again") from None


class _Expanded(io.RawIOBase):
    """A gzip file that expands as far as text does and no further."""

    def __init__(self, path: Path) -> None:
        self._file, self._name = gzip.GzipFile(path), path.name
        self._left = max(FREE_BYTES, LARGEST_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise DataError(
                f"{self._name} expands to over {LARGEST_RATIO} times its size, which no text does; it was not read"
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def check_expansion(path: Path) -> None:
    """Reads gzip and parquet files of a file or folder once, for a reader that sets no bound; raises `DataError`."""
    for packed in [path] if path.is_file() else sorted(path.rglob("*")):
        if packed.name.lower().endswith(".gz"):
            with io.BufferedReader(_Expanded(packed)) as file:
                while file.read(_CHUNK_BYTES):
                    pass
        elif packed.name.lower().endswith(".parquet"):
            with _parquet(packed) as file:
                for _ in bounded_batches(file, packed.stat().st_size, packed.name):
                    pass


def _parsed(line: bytes, where: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise DataError(f"{where}: {error}: {line[:60]!r}") from None


def _read_lines(file: IO[bytes], name: str) -> Iterator[Record]:
    for number, line in enumerate(iter(lambda: file.readline(LARGEST_RECORD), b""), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        _check_length(len(line), where)
        value = _parsed(line.removeprefix(b"\xef\xbb\xbf"), where)
        if not isinstance(value, dict):
            raise DataError(f"{where}: a line must hold one JSON object, got {line[:60]!r}")
        yield Record(value, where)


def _check_length(length: int, where: str) -> None:
    if length >= LARGEST_RECORD:
        raise DataError(f"{where}: a record of over {LARGEST_RECORD >> 20} MiB; the file may be damaged")


def _read_json(file: IO[bytes], name: str) -> Iterator[Record]:
    """Streams a top-level list in constant memory; a top-level object is one record."""
    first = file.read(1)
    while first and first in b" \t\r\n\xef\xbb\xbf":
        first = file.read(1)
    if first == b"[":
        yield from _read_list(file, name)
        return
    value = _parsed(first + file.read(), name)
    if not isinstance(value, dict):
        raise DataError(f"{name}: must hold a list of objects or one object, got {value!r:.60}")
    yield Record(value, name)


def _read_list(file: IO[bytes], name: str) -> Iterator[Record]:
    buffer, start, number = "", 0, 0
    chunks = _text_chunks(file, name)
    while True:
        where = f"{name}, record {number + 1}"
        start += len(_BETWEEN[number > 0].match(buffer, start)[0])  # type: ignore[index]
        if buffer[start : start + 1] == "]":
            if "".join([buffer[start + 1 :], *chunks]).strip():
                raise DataError(f"{name}: something follows the list; give one list a file, or JSONL")
            return
        try:
            if start == len(buffer):
                raise json.JSONDecodeError("the list does not end", buffer, start)
            begin = start
            value, start = DECODER.raw_decode(buffer, begin)
            check_characters(value, buffer[begin:start])
        except json.JSONDecodeError as error:
            more = next(chunks, "")
            if not more:
                raise DataError(f"{where}: invalid JSON ({error.msg}); the file may be cut off") from None
            buffer, start = buffer[start:] + more, 0
            _check_length(len(buffer), where)
            continue
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: invalid JSON ({error})") from None
        if not isinstance(value, dict):
            raise DataError(f"{where}: must be a JSON object, got {value!r:.60}")
        number += 1
        yield Record(value, where)


def _text_chunks(file: IO[bytes], name: str) -> Iterator[str]:
    try:
        yield from codecs.iterdecode(iter(lambda: file.read(_CHUNK_BYTES), b""), "utf-8")
    except UnicodeDecodeError as error:
        near = error.object[error.start : error.start + 20]
        raise DataError(f"{name}: invalid UTF-8 near {near!r}; the file may be damaged or cut off") from None


def _read_xml(file: IO[bytes], name: str) -> Iterator[Record]:
    """Streams ASDiv's problems, and other elements that have an `ID`: attributes and child texts by name."""
    number = 0
    try:
        for _, element in ElementTree.iterparse(file):
            if "ID" not in element.attrib and element.tag != "Problem":
                continue
            number += 1
            where = f"{name}, record {number}"
            values: dict[str, Any] = dict(element.attrib)
            for child in element:
                if child.tag in values:
                    raise DataError(f"{where}: {child.tag!r} occurs twice; give it once")
                values[child.tag] = "".join(child.itertext())
            yield Record(values, where)
            element.clear()
    except ElementTree.ParseError as error:
        line = error.position[0]
        raise DataError(f"{name}, line {line}: invalid XML ({error}); the file may be cut off") from None


def _read_parquet(path: Path, columns: frozenset[str]) -> Iterator[Record]:
    with _parquet(path) as file:
        wanted = [column for column in file.schema_arrow.names if column in columns or not columns]
        batches = bounded_batches(file, path.stat().st_size, path.name, wanted)
        for number, values in enumerate((row for batch in batches for row in batch.to_pylist()), 1):
            yield Record(values, f"{path.name}, row {number}")


@contextmanager
def _parquet(path: Path) -> Iterator[ParquetFile]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} is not a complete parquet file ({' '.join(str(error).split())})") from None


def columns_of(path: Path) -> frozenset[str]:
    """Returns the column names, from a parquet file's schema or from the first record of another file."""
    if container(path) != ".parquet":
        first = next(read_records(path), None)
        return frozenset(first.values) if first else frozenset()
    with _parquet(path) as file:
        return frozenset(file.schema_arrow.names)
