"""Getting the files of one place: the mini generator, a file or folder of the user's, the Hub, a URL or a mirror."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ptmoe.data.mini import TEST_SETS, generate
from ptmoe.data.records import CONTAINERS
from ptmoe.data.sources import GeneratedPlace, Place, Role
from ptmoe.errors import DataError
from ptmoe.files import write_text


def place_files(name: str, place: Place | str, role: Role, mirror: str, folder: Path) -> tuple[str, list[Path]]:
    """Puts the files of a place into `folder`.

    Args:
        name: the source's name.
        place: where they are; a string is a local file or folder.
        role: what the source is used for.
        mirror: a folder or URL that replaces the Hub and URLs, or `none`.
        folder: an empty folder.

    Returns:
        where the files came from, in words, and the files.

    Raises:
        DataError: they cannot be had from there.
    """
    if isinstance(place, str):
        return f"local {place}", _copy_local(name, Path(place), folder)
    if isinstance(place, GeneratedPlace):
        return "the generator ptmoe.data.mini", _generate(place, role, folder)
    raise DataError(f"{name}: no such place")


def _copy_local(name: str, path: Path, folder: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(CONTAINERS))
        if not found:
            raise DataError(f"data.files.{name}: {path} holds no file that ends in {', '.join(CONTAINERS)}")
    elif path.is_file():
        found = [path]
    else:
        raise DataError(f"data.files.{name}: {path} does not exist; give a file or a folder")
    return [Path(shutil.copyfile(file, folder / file.name)) for file in found]


def _generate(place: GeneratedPlace, role: Role, folder: Path) -> list[Path]:
    made = generate(place.generate, place.seed, place.train, place.test)
    names = (
        ["train"] if role == "train" else [name for name, domain in TEST_SETS[place.generate].items() if domain == role]
    )
    files = []
    for name in names:
        path = folder / f"{name}.jsonl"
        write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in made[name]))
        files.append(path)
    return files
