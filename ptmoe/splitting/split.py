"""The split stage: training and validation rows by group, and the official test sets, whole.

Rows are ordered by a hash of their content, so that neither the order of the raw files nor that of their lines changes
the side of a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptmoe.config.params import DataParams
from ptmoe.examples.convert import Tally, examples_of
from ptmoe.examples.example import Example
from ptmoe.examples.tables import collect, write_examples
from ptmoe.examples.text import digest
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import scratch_folder, write_json
from ptmoe.runtime.progress import say
from ptmoe.sources.raw import raw_files
from ptmoe.sources.registry import Use, uses
from ptmoe.splitting.leakage import PRINTS, check_leakage, count_near, leakage, prints_of

if TYPE_CHECKING:
    from datasets import Dataset

SALT = "split"
HASHES = np.dtype([(name, np.uint64) for name in ("content", *PRINTS)])


@dataclass
class Rows:
    """Examples in a memory-mapped file, and [rows] with the `HASHES` that decide on them."""

    examples: Dataset
    hashes: np.ndarray

    def write(self, path: Path, chosen: np.ndarray) -> np.ndarray:
        """Writes the chosen rows [n] in their order and returns their hashes."""
        write_examples(path, self.examples.select(chosen))
        return self.hashes[chosen]


def split_task(task: str, data: DataParams, raw: Path, out: Path) -> None:
    """Writes train, validation and test rows of a task, from the folder that `download_task` wrote.

    Raises:
        DataError: a raw file is missing or malformed, there are too few rows, or too many are in two sets.
    """
    found = uses(data)
    tallies = {use.name: Tally() for use in found}
    datasets: dict[str, dict[str, Any]] = {}
    tests: dict[str, np.ndarray] = {}
    asked = 0
    with scratch_folder(out) as scratch:
        stored = [use for use in found if use.role == "train"]
        rows = _stored(_examples(stored, raw, tallies), scratch / "train.arrow")
        keys, groups = rows.hashes["content"], rows.hashes["group"]
        train, validation, left_out = choose(keys, groups, data.validation_rows, data.train_rows)
        if not len(train):
            raise DataError(f"{task}: of {len(keys)} rows validation takes all; lower validation_rows or add rows")
        trained = rows.write(out / "train.parquet", train)
        validated = rows.write(out / "validation.parquet", validation)
        for use in found:
            if use.role != "train":
                rows = _stored(_examples([use], raw, tallies), scratch / f"{use.name}.arrow")
                asked += len(rows.hashes)
                tests |= _write_tests(use, rows, data.test_rows, out, datasets)
    pairs = leakage(trained, validated, tests)
    names = {"train": "train", "validation": "validation"} | {name: f"test/{name}" for name in tests}
    count_near(pairs, {name: out / f"{place}.parquet" for name, place in names.items()})
    write_json(out / "datasets.json", datasets)
    count = sum(entry["rows"] for entry in datasets.values())
    left_out["beyond_test_rows"] = asked - count
    sizes = {"train": len(train), "validation": len(validation)} | left_out
    sources = {name: tally.summary() for name, tally in tallies.items()}
    write_json(out / "split.json", {"sizes": sizes, "sources": sources, "leakage": pairs})
    named = "".join(f", {number} {key.replace('_', ' ', 1)}" for key, number in left_out.items() if number)
    say(
        f"{task}: {len(train)} training, {len(validation)} validation, {count} test rows in {len(datasets)} sets{named}"
    )
    check_leakage(task, pairs, float(data.max_leakage))


def _examples(found: list[Use], raw: Path, tallies: dict[str, Tally]) -> Iterator[Example]:
    for use in found:
        files = raw_files(raw / use.name)
        yield from examples_of(use.name, use.source, files, use.role == "train", tallies[use.name])


def _content(example: Example) -> str:
    # Not the id: where a source repeats one, the number added to it depends on the order of the file.
    return digest(SALT, example.dataset, example.question, example.context, example.target)


def _stored(examples: Iterator[Example], path: Path) -> Rows:
    hashes = array("Q")

    def noted() -> Iterator[Example]:
        for example in examples:
            hashes.extend((int(_content(example), 16), *prints_of(example)))
            yield example

    return Rows(collect(noted(), path), np.array(hashes, np.uint64).view(HASHES))


def choose(
    keys: np.ndarray, groups: np.ndarray, validation_rows: int, train_rows: int
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Divides rows so that each group is on one side.

    Whole groups go to validation, in the order of their hash, until it has `validation_rows` rows; what the last
    group has beyond that is left out of both sides. scikit-learn's GroupShuffleSplit counts groups, not rows, and one
    more group reshuffles all of them; here the other groups keep their places.

    Args:
        keys, groups: [rows] hash of each row, and of its group.
        validation_rows, train_rows: rows wanted for validation, and the most for training (0 for all).

    Returns:
        train [n] and validation [m] as row numbers in the order of their hash, and how many rows each limit left out.
    """
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    taken = int(np.searchsorted(np.cumsum(sizes), validation_rows) + 1)
    order = np.argsort(keys, kind="stable")
    validating = (member < taken)[order]
    validation, train = order[validating], order[~validating]
    chosen = train[: train_rows or None], validation[:validation_rows]
    beyond = {
        "beyond_train_rows": len(train) - len(chosen[0]),
        "beyond_validation_rows": len(validation) - len(chosen[1]),
    }
    return *chosen, beyond


def _write_tests(
    use: Use, rows: Rows, limit: int, out: Path, datasets: dict[str, dict[str, Any]]
) -> dict[str, np.ndarray]:
    """Writes each test set of a source in its official order; with a limit, a seeded part of it."""
    names = np.array(list(rows.examples["dataset"]))
    present = dict.fromkeys(names.tolist())
    written = {}
    for name in dict.fromkeys([*(name for name in use.source.datasets if name in present), *present]):
        if name in datasets:
            raise DataError(f"two test sources hold a data set {name!r}; leave one of them out")
        chosen = np.flatnonzero(names == name)
        if limit:
            chosen = np.sort(chosen[np.argsort(rows.hashes["content"][chosen], kind="stable")[:limit]])
        written[name] = rows.write(out / "test" / f"{name}.parquet", chosen)
        datasets[name] = {"domain": use.role, "rows": len(chosen)}
    return written
