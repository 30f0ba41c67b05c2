"""The examples of a source: its files, converted, counted and checked against its entry."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ptmoe.examples.converters.forms import Form, Unusable
from ptmoe.examples.converters.registry import CONVERTERS
from ptmoe.examples.example import Example
from ptmoe.examples.records import Record, columns_of, read_records
from ptmoe.examples.text import digest
from ptmoe.runtime.errors import DataError
from ptmoe.sources.registry import Source

# Names become paths, cells of CSV files and labels of figures.
_DATASET = re.compile(r"(?!.{81})\w(?:[\w .-]*\w)?(?:/\w(?:[\w .-]*\w)?)?")


@dataclass
class Tally:
    """What became of a source's rows; every row is counted in exactly one of the first three.

    Attributes:
        rows: data set -> examples made.
        dropped: data set -> reason -> rows of that data set that cannot be used.
        selected_out: reason -> rows that belong to no data set of the source.
        renamed: ids that occurred before and got a number.
    """

    rows: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    selected_out: Counter[str] = field(default_factory=Counter)
    renamed: int = 0

    def add(self, unusable: Unusable) -> None:
        if unusable.selected_out:
            self.selected_out[unusable.reason] += 1
        else:
            self.dropped.setdefault(unusable.dataset, Counter())[unusable.reason] += 1

    def found(self, dataset: str) -> int:
        """Rows of a data set, usable or not."""
        return self.rows[dataset] + sum(self.dropped.get(dataset, Counter()).values())

    @property
    def datasets(self) -> dict[str, None]:
        return dict.fromkeys([*self.rows, *self.dropped])

    def in_words(self) -> str:
        """Returns the counts as the end of a line of the console, e.g. `; SQuAD: 3 no answers`; mostly empty."""
        dropped = [(name, each) for name, reasons in self.dropped.items() for each in reasons.items()]
        words = [f"; {name}: {count} {reason}" for name, (reason, count) in dropped]
        words += [f"; {count} {reason}" for reason, count in self.selected_out.items()]
        words += [f"; {self.renamed} repeated ids with a number added"] if self.renamed else []
        return "".join(words)

    def summary(self) -> dict[str, Any]:
        """Returns the counts as plain JSON."""
        return {
            "rows": dict(self.rows),
            "dropped": {name: dict(sorted(reasons.items())) for name, reasons in self.dropped.items()},
            "selected_out": dict(sorted(self.selected_out.items())),
            "ids_renamed": self.renamed,
        }


def form_of(path: Path, converter: str) -> Form:
    """Finds the form of a file by its columns.

    Raises:
        DataError: no form of the converter has these columns.
    """
    columns = columns_of(path)
    if not columns:
        raise DataError(f"{path.name} has no records")
    for form in CONVERTERS[converter]:
        if form.columns <= columns:
            return form
    wanted = " or ".join(f"({', '.join(sorted(form.columns))})" for form in CONVERTERS[converter])
    raise DataError(
        f"{path.name} has the keys {', '.join(sorted(columns))}; the converter {converter!r} needs {wanted}"
    )


def _converted(name: str, source: Source, files: list[Path]) -> Iterator[Example | Unusable]:
    named: dict[str, Path] = {}
    for path in files:
        form = form_of(path, source.converter)
        # A record may name its data set itself; where it does not, the source or else the file does.
        dataset = path.name.split(".")[0]
        if len(source.datasets) == 1:
            dataset = next(iter(source.datasets))
        elif source.converter == "own" and len(files) == 1:
            dataset = name
        elif (other := named.setdefault(dataset, path)) != path:
            raise DataError(f"{other.name} and {path.name} would both be the data set {dataset!r}; rename one of them")
        yield from _named(form, read_records(path, form.columns | form.optional), dataset)


def _named(form: Form, records: Iterator[Record], dataset: str) -> Iterator[Example | Unusable]:
    """Converts records and refuses a data set whose name could not be a file, a cell of a table and a label."""
    where = ""

    def noted() -> Iterator[Record]:
        nonlocal where
        for record in records:
            where = record.where
            yield record

    for made in form.convert(noted(), dataset):
        if not _DATASET.fullmatch(made.dataset):
            raise DataError(
                f"{where}: the data set is called {made.dataset!r:.60}; allowed: letters, digits, and inside of the "
                f"name spaces . - and one / between a family and its member; correct the name in the file"
            )
        yield made


def examples_of(name: str, source: Source, files: list[Path], training: bool, tally: Tally) -> Iterator[Example]:
    """Yields a source's examples in the order of its files and counts them in `tally`.

    An example that is trained on needs a target; a test example has none. The source's name is that of its data set
    where nothing else is.

    Raises:
        DataError: a record is malformed or an own id occurs twice.
    """
    seen: set[tuple[str, str]] = set()
    for position, made in enumerate(_converted(name, source, files)):
        if source.first and position >= source.first:
            made = Unusable(f"after the first {source.first} rows", made.dataset, selected_out=True)
        elif training and isinstance(made, Example) and not made.target:
            made = Unusable("no target", made.dataset)
        if isinstance(made, Unusable):
            tally.add(made)
            continue
        key, times = (made.dataset, made.id), 1
        while key in seen:
            times += 1
            key = made.dataset, f"{made.id}-{times}"
        seen.add(key)
        if times > 1:
            if source.converter == "own" and made.id != digest(made.question, made.context):
                raise DataError(
                    f"{name}: the id {made.id!r} occurs twice in {made.dataset}; make it unique or leave it out"
                )
            tally.renamed += 1
            made = replace(made, id=key[1])
        tally.rows[made.dataset] += 1
        yield made if training else replace(made, target="")
