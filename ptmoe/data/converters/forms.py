"""What a converter is: a raw form that is known by its columns, and a function from one record to examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ptmoe.data.example import Example
from ptmoe.data.records import Record


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


Converted = Iterator[Example | Unusable]


@dataclass(frozen=True)
class Form:
    """One raw form of a data set.

    Attributes:
        columns: keys that every record of this form has; they tell the form.
        convert: takes a record and the default name of its data set; yields an example a question.
        optional: further keys that `convert` reads, where present.
        exact: whether other keys are an error.
    """

    columns: frozenset[str]
    convert: Callable[[Record, str], Converted]
    optional: frozenset[str] = frozenset()
    exact: bool = False


def form(columns: str, convert: Callable[[Record, str], Converted], optional: str = "", exact: bool = False) -> Form:
    """Makes a form from keys separated by spaces."""
    return Form(frozenset(columns.split()), convert, frozenset(optional.split()), exact)


def joined(texts: Iterable[str]) -> str:
    """Joins the parts of a question by one space."""
    return " ".join(text for text in texts if text)
