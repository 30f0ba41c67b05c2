"""One question and every method's answer side by side (paper, table 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ptmoe.reporting.analysis import TaskAnalysis, align
from ptmoe.reporting.cells import TaskRun
from ptmoe.runtime.errors import ScoringError

CONTEXT_LENGTH = 420


@dataclass(frozen=True)
class Output:
    """One method's answer; score in 0..1, None where the example was not scored."""

    method: str
    seed: int
    prediction: str | None
    score: float | None
    expert: int | None


@dataclass(frozen=True)
class Case:
    """A test example with all answers; question and context are empty where the test set is missing."""

    task: str
    dataset: str
    id: str
    question: str
    context: str
    answers: list[str]
    outputs: list[Output]


def most_different(analysis: TaskAnalysis, root: Path, count: int) -> list[Case]:
    """Returns the examples on which the methods' scores vary most, at most one a data set; ties by their order."""
    run = analysis.run
    aligned, _ = align(run)
    spreads = []
    for dataset in analysis.counts:
        values = np.stack([aligned[method][analysis.headline][dataset] for method in analysis.scored_methods])
        whole = np.isfinite(values).any(axis=1).all(axis=0)
        if whole.any():
            spread = np.where(whole, np.nanvar(np.where(whole, np.nanmean(values, axis=1), 0), axis=0), -1)
            spreads.append((float(spread.max()), dataset, int(spread.argmax())))
    ranked = sorted(spreads, key=lambda each: -each[0])[:count]
    ids = {dataset: ids_in_order(run, dataset) for _, dataset, _ in ranked}
    return [case(run, analysis.headline, root, dataset, ids[dataset][at]) for _, dataset, at in ranked]


def ids_in_order(run: TaskRun, dataset: str) -> list[str]:
    """Returns the ids of a data set in the order in which `align` meets them."""
    scored = [result.scores for result in run.cells.values() if result.scores is not None]
    return list(dict.fromkeys(key for scores in scored for key in scores["id"][scores["dataset"] == dataset]))


def case(run: TaskRun, column: str, root: Path, dataset: str, key: str) -> Case:
    """Collects one example's answers from the first seed that has any."""
    example = test_rows(root, run.task, dataset, [key]).get(key, {})
    outputs = [output for method in run.methods if (output := _output(run, column, method, dataset, key)) is not None]
    return Case(
        task=run.task,
        dataset=dataset,
        id=key,
        question=example.get("question", ""),
        context=around(example.get("context", ""), example.get("answers", [])),
        answers=example.get("answers", []),
        outputs=outputs,
    )


def find(run: TaskRun, column: str, root: Path, key: str) -> Case:
    """Returns the example with an id.

    Raises:
        ScoringError: no scored example has it.
    """
    for dataset in run.datasets:
        if key in ids_in_order(run, dataset):
            return case(run, column, root, dataset, key)
    some = [name for dataset in run.datasets for name in ids_in_order(run, dataset)[:1]]
    raise ScoringError(f"no scored example of {run.task} has the id {key!r}; ids look like {', '.join(some) or 'none'}")


def test_rows(root: Path, task: str, dataset: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns {id: row} of those examples that the test set has; nothing where it is missing."""
    path = root / "data/split" / task / "test" / f"{dataset}.parquet"
    rows = pq.read_table(path, filters=[("id", "in", list(keys))]).to_pylist() if path.exists() else []
    return {row["id"]: row for row in rows}


def _output(run: TaskRun, column: str, method: str, dataset: str, key: str) -> Output | None:
    for seed in run.seeds:
        result = run.cells[method, seed]
        if result.scores is None:
            continue
        at = np.flatnonzero((result.scores["dataset"] == dataset) & (result.scores["id"] == key))
        score = float(result.scores[column][at[0]]) if len(at) else None
        predictions = result.predictions or {"id": [], "dataset": []}
        row = next(
            (i for i, each in enumerate(predictions["id"]) if each == key and predictions["dataset"][i] == dataset),
            None,
        )
        prediction = None if row is None else predictions["prediction"][row]
        expert = None if row is None else predictions.get("expert", {row: None})[row]
        return Output(method, seed, prediction, score, expert)
    return None


def around(context: str, answers: Sequence[str]) -> str:
    """Cuts a long context to the part around the first gold answer."""
    if len(context) <= CONTEXT_LENGTH:
        return context
    at = max(0, min((context.find(answer) for answer in answers if answer in context), default=0))
    start = max(0, min(at - CONTEXT_LENGTH // 2, len(context) - CONTEXT_LENGTH))
    end = start + CONTEXT_LENGTH
    return ("\u2026 " if start else "") + context[start:end] + (" \u2026" if end < len(context) else "")


def as_text(case: Case) -> str:
    """Lays a case out for a terminal."""
    lines = [f"{case.task}, {case.dataset}, {case.id}", *([case.context] if case.context else []), case.question]
    lines.append(f"gold: {' | '.join(case.answers)}")
    width = max((len(output.method) for output in case.outputs), default=0)
    for output in case.outputs:
        score = "-" if output.score is None or np.isnan(output.score) else f"{100 * output.score:.0f}"
        expert = "" if output.expert is None else f" [expert {output.expert}]"
        text = "(no prediction)" if output.prediction is None else output.prediction
        lines.append(f"  {output.method:{width}s} {score:>4s}{expert}  {text}")
    return "\n".join(lines)
