"""Counts the rows that two sets share, for every pair of training, validation and test set."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from ptmoe.examples.example import Example
from ptmoe.examples.text import digest, normalised, one_line
from ptmoe.runtime.errors import DataError
from ptmoe.splitting.near import near_duplicates

COLUMNS = ("question", "normalised_question", "context", "row", "group")


@dataclass
class Prints:
    """Hashes of the rows of a set, which identify equal rows of other sets; each column is [rows].

    Columns: the question as it is; the normalised question; the context (0 where there is none); the normalised
    question together with its context; the group.
    """

    columns: dict[str, Any] = field(default_factory=lambda: {name: array("Q") for name in COLUMNS})

    def add(self, example: Example) -> None:
        context, question = _print_of(example.context), normalised(example.question)
        prints = {
            "question": digest(example.question),
            "normalised_question": digest(question),
            "context": digest(context) if context else "0",
            "row": digest(question, context),
            "group": digest(example.group),
        }
        for name, value in prints.items():
            self.columns[name].append(int(value, 16))

    def take(self, rows: np.ndarray) -> Prints:
        """Returns the prints of some rows [n]."""
        return Prints({name: np.asarray(values, np.uint64)[rows] for name, values in self.columns.items()})

    def __len__(self) -> int:
        return len(self.columns["row"])


@lru_cache(maxsize=1)  # questions on one passage follow one another, and a passage is long
def _print_of(context: str) -> str:
    return digest(one_line(context)) if context else ""


def overlap(known: Prints, asked: Prints) -> dict[str, int]:
    """Counts the rows of `asked` that are also in `known`.

    Returns:
        rows with the same question, normalised question, context and group, and `leaked` ones: those whose
        normalised question comes with the same context, and, without a context, those of the same group (a
        rephrasing of a training question).
    """
    found = {name: np.isin(asked.columns[name], known.columns[name]) for name in COLUMNS}
    has_context = np.asarray(asked.columns["context"]) != 0
    found["context"] &= has_context
    found["leaked"] = found.pop("row") | (found["group"] & ~has_context)
    return {name: int(where.sum()) for name, where in found.items()} | {"rows": len(asked)}


def leakage(train: Prints, validation: Prints, tests: dict[str, Prints]) -> dict[str, dict[str, int]]:
    """Returns the overlap of every pair, named like `GSM8K in train`."""
    pairs = {"validation in train": overlap(train, validation)}
    for name, prints in tests.items():
        pairs[f"{name} in train"] = overlap(train, prints)
        pairs[f"{name} in validation"] = overlap(validation, prints)
    return pairs


def count_near(pairs: dict[str, dict[str, int]], files: dict[str, Path]) -> None:
    """Adds to every pair of `leakage` the rows whose question is nearly one of the other set; `files` has each set's.

    They are only reported: most are the same problem with other numbers, which a test may ask.
    """
    questions = {
        name: [normalised(text) for text in parquet.read_table(path, columns=["question"])["question"].to_pylist()]
        for name, path in files.items()
    }
    for known in ("train", "validation"):
        ending = f" in {known}"
        names = [pair.removesuffix(ending) for pair in pairs if pair.endswith(ending)]
        near = near_duplicates(questions[known], [text for name in names for text in questions[name]])
        for name in names:
            count, near = near[: len(questions[name])].sum(), near[len(questions[name]) :]
            pairs[name + ending]["near_duplicates"] = int(count)


def check_leakage(task: str, pairs: dict[str, dict[str, int]], max_leakage: float) -> None:
    """Raises `DataError`, which names the pairs, when more than `max_leakage` percent of a set is also in another."""
    percents = {pair: 100 * counts["leaked"] / max(counts["rows"], 1) for pair, counts in pairs.items()}
    over = [f"{pair}: {percent:.2f}%" for pair, percent in percents.items() if percent > max_leakage]
    if over:
        raise DataError(
            f"{task}: more rows than data.{task}.max_leakage = {max_leakage}% are in two sets ({'; '.join(over)}); "
            f"see leakage in split.json, take the rows out of a training file, or raise max_leakage"
        )
