"""The download stage: the raw files of a task's sources, and a manifest that is written last."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptmoe.config.params import DataParams, TableParams
from ptmoe.examples.convert import Tally, examples_of
from ptmoe.examples.loaded import fetch_table
from ptmoe.examples.text import digest
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of, write_json
from ptmoe.runtime.progress import say
from ptmoe.sources.fetch import place_files
from ptmoe.sources.raw import MANIFEST
from ptmoe.sources.registry import Place, Use, uses


def download_task(task: str, data: DataParams, mirror: str, out: Path) -> None:
    """Fetches every source of a task into `out/<source>/`, from a mirror unless that is `none`, and checks it.

    Raises:
        ParamsError: a source is unknown or used against its role.
        DataError: no place of a source provides the expected files.
    """
    for use in uses(data):
        folder = out / use.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        manifest, tally = _first_good(use, mirror, folder)
        write_json(folder / MANIFEST, manifest)
        rows = ", ".join(f"{name} {count}" for name, count in manifest["rows"].items())
        say(f"{task}: {use.name} from {manifest['from']}: {rows} rows{tally.in_words()}")


def _first_good(use: Use, mirror: str, folder: Path) -> tuple[dict[str, Any], Tally]:
    """Tries the places of a source in order and reports each place that fails."""
    places: Sequence[Place | str | TableParams] = [use.local] if use.local else use.source.places
    failures = []
    for place in places:
        try:
            if isinstance(place, TableParams):
                origin, files = fetch_table(use.name, place, folder)
            else:
                origin, files = place_files(use.name, place, mirror, folder, use.source.pins)
            facts, tally = _survey(use, files)
            return {"source": use.name, "from": origin, "licence": use.source.licence} | facts, tally
        except DataError as error:
            failures.append(str(error))
            if len(places) > len(failures):
                say(f"  {use.name}: {error}\n  {use.name}: trying the next place")
            for path in folder.iterdir():
                path.unlink()
    listed = "\n".join(f"  {failure}" for failure in failures)
    raise DataError(f"no place of source {use.name} works:\n{listed}" if len(failures) > 1 else failures[0])


def _survey(use: Use, files: list[Path]) -> tuple[dict[str, Any], Tally]:
    """Converts everything once, so that a damaged or unexpected file is found here and not in a later stage."""
    tally = Tally()
    must_contain = "" if use.local else "".join(use.source.contains.split())
    contained, rows = not must_contain, []
    for example in examples_of(use.name, use.source, files, use.role == "train", tally):
        contained = contained or must_contain in "".join(example.question.split())
        rows.append(digest(example.dataset, example.question, *example.answers))
    if not tally.rows:
        raise DataError(f"{use.name}: no usable row in {', '.join(path.name for path in files)}: {tally.summary()}")
    if not contained:
        raise DataError(f"{use.name}: no question holds {use.source.contains!r}, so these are not the paper's rows")
    _check_sizes(use, tally)
    found = hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()
    if use.source.rows_sha256 not in ("", found) and not use.local:
        raise DataError(f"{use.name}: its rows have the SHA-256 {found}, expected {use.source.rows_sha256}")
    described = [{"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files]
    return tally.summary() | {"rows_sha256": found, "files": described}, tally


def _check_sizes(use: Use, tally: Tally) -> None:
    """Compares the rows found with those expected; the user's own file may have any number."""
    expected = use.source.datasets
    if use.local:
        expected = {name: rows for name, rows in expected.items() if name in tally.datasets}
    different = "; ".join(
        f"{name}: {tally.found(name)} rows, expected {expected.get(name, 0)}"
        for name in dict.fromkeys([*expected, *tally.datasets])
        if expected and tally.found(name) != expected.get(name, 0)
    )
    if use.local:
        if different:
            say(f"  {use.name}: not the published size ({different})")
    elif different:
        raise DataError(f"{use.name}: {different}")
    elif use.role != "train" and tally.dropped and not use.source.partial:
        raise DataError(f"{use.name}: a test set must be whole, but rows cannot be used: {tally.summary()['dropped']}")
