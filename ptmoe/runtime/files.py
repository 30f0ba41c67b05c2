"""Complete files and folders or none: everything is written under a temporary name and then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptmoe.runtime.errors import PtmoeError

WRITTEN = ".written"


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` and renames it to `path` when the block ends without an error."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder inside `folder`, which goes at the end of the block; DVC and Git never see it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{os.getpid()}.", suffix=".tmp") as made:
        yield Path(made)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` and renames it to `path` when the block ends without an error.

    The folder lists its files in `.written`: an older one is replaced only if it holds nothing else.

    Raises:
        PtmoeError: `path` holds a file that no earlier call wrote; it stays as it is.
    """
    path = Path(path).resolve()
    _refuse_foreign(path)
    made, old = (path.with_name(f".{path.name}.{os.getpid()}.{kind}tmp") for kind in ("", "old."))
    made.mkdir(parents=True)
    try:
        yield made
        listed = "".join(f"{name}\n" for name in sorted(_files(made)))
        (made / WRITTEN).write_bytes(listed.encode())
        _refuse_foreign(path)
        if path.exists():
            path.rename(old)
        made.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _files(folder: Path) -> Iterator[str]:
    return (
        found.relative_to(folder).as_posix() for found in folder.rglob("*") if found.is_symlink() or found.is_file()
    )


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise PtmoeError(f"{path} is a file; give a folder that is not there yet")
    listed = path / WRITTEN
    ours = {WRITTEN, *listed.read_text(encoding="utf-8").splitlines()} if listed.is_file() else set()
    foreign = next((name for name in _files(path) if name not in ours), None) if path.exists() else None
    if foreign:
        raise PtmoeError(f"{path} holds {foreign}, which ptmoe did not write there; give an empty or a new folder")


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text with Unix line ends, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Writes indented JSON in the order of the value's keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: str | Path) -> str:
    """Returns the hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(facts: dict[str, Any]) -> str:
    """Returns 16 hex digits that name the run which these facts determine, in whatever order they are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def checkpoint_root() -> Path:
    """Returns `.checkpoints` of the project: of its main folder also where DVC runs an experiment in a copy."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".checkpoints"
