"""The raw files of a source as the download stage wrote them: complete if and only if their manifest exists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.strict_json import parse_json

MANIFEST = "manifest.json"
# Endings of the files that records are read from.
CONTAINERS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".xml")


def unread(folder: Path, read: Iterable[Path], endings: tuple[str, ...] = ()) -> str:
    """Names the files of a folder (of some endings) that are not read, in words for the console and the manifest."""
    taken = {path.resolve() for path in read}
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    left = [path.name for path in found if path.resolve() not in taken and path.name.lower().endswith(endings or "")]
    return f" ({len(left)} files not read: {', '.join(left):.200})" if left else ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads what `download_task` wrote last.

    Raises:
        DataError: the folder was not downloaded whole.
    """
    try:
        return parse_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError):
        raise DataError(f"{folder} holds no complete download; run `dvc repro download`") from None


def raw_files(folder: Path) -> list[Path]:
    """Returns the raw files of a source in the order of its manifest.

    Raises:
        DataError: a file is missing or its bytes changed.
    """
    files = []
    for entry in read_manifest(folder)["files"]:
        path = folder / entry["name"]
        if not path.is_file() or sha256_of(path) != entry["sha256"]:
            raise DataError(f"{path} is missing or changed since the download; run `dvc repro --force download`")
        files.append(path)
    return files
