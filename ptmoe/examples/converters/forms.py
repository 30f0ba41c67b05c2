"""The type of a converter: a raw form, recognised by its columns, and a function from records to examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ptmoe.examples.example import Example
from ptmoe.examples.records import Record


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that cannot become an example; `reason` is counted.

    Attributes:
        reason: why, in a few words, e.g. `no answers`.
        dataset: the data set that the row belongs to.
        selected_out: the row is sound but belongs to no data set of the source, and is not counted in its size.
    """

    reason: str
    dataset: str
    selected_out: bool = False


Made = Example | Unusable
Convert = Callable[[Iterable[Record], str], Iterator[Made]]


@dataclass(frozen=True)
class Form:
    """One raw form of a data set.

    Attributes:
        columns: keys of the first record, which identify the form.
        convert: takes a file's records and the default name of their data set; yields one `Made` a question.
        optional: further keys that `convert` reads, where present.
    """

    columns: frozenset[str]
    convert: Convert
    optional: frozenset[str] = frozenset()


def form(columns: str, convert: Convert, optional: str = "") -> Form:
    """Makes a form from keys separated by spaces."""
    return Form(frozenset(columns.split()), convert, frozenset(optional.split()))


def each(convert: Callable[[Record, str], Made]) -> Convert:
    """Makes a conversion of files from one of records that are one question each."""

    def convert_all(records: Iterable[Record], dataset: str) -> Iterator[Made]:
        return (convert(record, dataset) for record in records)

    return convert_all
