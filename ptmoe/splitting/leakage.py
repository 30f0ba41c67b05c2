"""Counts the rows that two sets share, for every pair of training, validation and test set."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from pyarrow import parquet

from ptmoe.examples.example import Example
from ptmoe.examples.text import digest, normalised, one_line
from ptmoe.runtime.errors import DataError
from ptmoe.splitting.near import near_duplicates

# Hashes of a row, which identify equal rows of other sets: the question as it is; the normalised question; the context
# (0 where there is none); the normalised question together with its context; the group.
PRINTS = ("question", "normalised_question", "context", "row", "group")


def prints_of(example: Example) -> tuple[int, ...]:
    """Returns the `PRINTS` of an example, 64 bits each."""
    context, question = _context_digest(example.context), normalised(example.question)
    texts = (example.question,), (question,), (context,), (question, context), (example.group,)
    prints = dict(zip(PRINTS, (int(digest(*each), 16) for each in texts), strict=True))
    return tuple((prints if context else prints | {"context": 0}).values())


@lru_cache(maxsize=1)  # questions on one passage follow one another, and a passage is long
def _context_digest(context: str) -> str:
    return digest(one_line(context)) if context else ""


def overlap(known: np.ndarray, asked: np.ndarray) -> dict[str, int]:
    """Counts the rows of `asked` that are also in `known`; both are [rows] with a field for each of `PRINTS`.

    Returns:
        rows with the same question, normalised question, context and group, and `leaked` ones: those whose
        normalised question comes with the same context, and, without a context, those of the same group (a
        rephrasing of a training question).
    """
    found = {name: np.isin(asked[name], known[name]) for name in PRINTS}
    has_context = asked["context"] != 0
    found["context"] &= has_context
    found["leaked"] = found.pop("row") | (found["group"] & ~has_context)
    return {name: int(where.sum()) for name, where in found.items()} | {"rows": len(asked)}


def leakage(train: np.ndarray, validation: np.ndarray, tests: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
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
