"""Getting the files of one place: a file or folder of the user's, the package, a mirror, the Hub or a URL."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.progress import say
from ptmoe.runtime.strict_json import parse_json
from ptmoe.sources.raw import CONTAINERS, MANIFEST, unread
from ptmoe.sources.registry import HubPlace, Place, ShippedPlace
from ptmoe.sources.remote import fetch_hub, fetch_url, read_url

NO_MIRROR = "none"
# How a manifest says where files of the Hub are from.
_OF_HUB = re.compile(r"(\S+) at ([0-9a-f]{40})")
SHIPPED = Path(__file__).with_name("mini")


def place_files(
    name: str, place: Place | str, mirror: str, folder: Path, pins: Mapping[str, str]
) -> tuple[str, list[Path]]:
    """Puts the files of a place into an empty folder; returns where they came from, in words, and the files.

    A string is a local file or folder. A mirror other than `none` replaces the Hub and all URLs; `pins` (file name ->
    SHA-256, as sources.yaml states them) count for its files too.

    Raises:
        DataError: the files are not available there, or incomplete.
    """
    if isinstance(place, str):
        files = _local_files(Path(place), f"data.files.{name}")
        return f"local {place}{unread(Path(place), files)}", _copied(files, folder)
    if isinstance(place, ShippedPlace):
        return "the package", _copied(_shipped(place), folder)
    if mirror != NO_MIRROR:
        return "the mirror", _pinned(_from_mirror(name, mirror, folder, place), pins)
    if isinstance(place, HubPlace):
        commit, files = fetch_hub(place)
        return f"{place.hub} at {commit}", _copied(files, folder)
    files = [fetch_url(place.address(file), file.file_name, file.sha256) for file in place.files]
    return place.url, _copied(files, folder, [file.file_name for file in place.files])


def _copied(files: list[Path], folder: Path, names: Sequence[str] = ()) -> list[Path]:
    # Copies, not links: DVC makes its files read-only, and those of a cache belong to others.
    names = names or [file.name for file in files]
    if len(set(names)) < len(files):
        raise DataError(f"two files have one name: {', '.join(str(file) for file in files)}")
    if MANIFEST in names:
        raise DataError(f"{files[0].parent} holds a {MANIFEST}, which is the name of our list of files; rename it")
    return [Path(shutil.copyfile(file, folder / name)) for file, name in zip(files, names, strict=True)]


def _shipped(place: ShippedPlace) -> list[Path]:
    for path, sha256 in place.shipped.items():
        file = SHIPPED / path
        if not file.is_file() or sha256_of(file) != sha256:
            raise DataError(f"{file} is missing or is not the file that sources.yaml lists; install the project again")
    return [SHIPPED / path for path in place.shipped]


def _local_files(path: Path, what: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{what}: {path} does not exist; give a file or a folder")
    found = sorted(file for file in path.iterdir() if file.is_file() and file.name.lower().endswith(CONTAINERS))
    if not found:
        raise DataError(f"{what}: {path} holds no file that ends in {', '.join(CONTAINERS)}")
    return found


def _from_mirror(name: str, mirror: str, folder: Path, place: Place) -> list[Path]:
    """Takes a source from `<mirror>/<source>/`, and checks files and revision against the manifest beside them."""
    where = f"{mirror.rstrip('/')}/{name}"
    if "://" in mirror:
        sums = _listed(read_url(f"{where}/{MANIFEST}"), where, place)
        return _copied([fetch_url(f"{where}/{file}", file, sha256) for file, sha256 in sums.items()], folder, [*sums])
    manifest = Path(where) / MANIFEST
    if not manifest.is_file():
        return _copied([file for file in _local_files(Path(where), "mirror") if file.name != MANIFEST], folder)
    listed = {Path(where) / file: sha256 for file, sha256 in _listed(manifest.read_bytes(), where, place).items()}
    for file, sha256 in listed.items():
        if not file.is_file() or sha256_of(file) != sha256:
            raise DataError(f"mirror: {file} is missing or is not the file that {MANIFEST} lists; copy it again")
    return _copied([*listed], folder)


def _pinned(files: list[Path], pins: Mapping[str, str]) -> list[Path]:
    """Holds a mirror to sources.yaml: its own manifest is only its own word."""
    for file in files:
        if file.name not in pins:
            say(f"  {file.parent.name}: sources.yaml has no checksum of {file.name}; the mirror's word is taken")
        elif sha256_of(file) != pins[file.name]:
            raise DataError(f"mirror: {file.name} is not the file that sources.yaml lists; copy it from the source")
    return files


def _listed(manifest: bytes, where: str, place: Place) -> dict[str, str]:
    """Returns name and SHA-256 of a mirror's files; its commit must be the one that the place names, if any."""
    try:
        found = parse_json(manifest)
        sums, origin = {entry["name"]: entry["sha256"] for entry in found["files"]}, str(found.get("from"))
        plain = all(Path(name).name == name and sha256 for name, sha256 in sums.items())
    except (ValueError, KeyError, TypeError):
        plain, sums, origin = False, {}, ""
    if not plain:
        raise DataError(f"mirror: {where}/{MANIFEST} is damaged; copy the folder again from a machine that has it")
    if stated := _OF_HUB.fullmatch(origin):
        hub, commit = stated.groups()
        if not (isinstance(place, HubPlace) and place.hub == hub and place.revision in (commit, "main")):
            raise DataError(f"mirror: {where} holds {origin}, another revision than sources.yaml names; copy that one")
    return sums
