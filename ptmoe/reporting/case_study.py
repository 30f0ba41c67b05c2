"""One question and every method's answer side by side (paper, table 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ptmoe.reporting.analysis import TaskAnalysis
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

    @property
    def points(self) -> float | None:
        """The score in percent."""
        return None if self.score is None else 100 * self.score

    @property
    def kind(self) -> str:
        """The class that colours the score."""
        return "right" if self.score == 1 else "wrong" if self.score == 0 else "part"


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
    methods = [analysis.run.methods.index(method) for method in analysis.scored_methods]
    spreads = []
    for dataset, ids in analysis.ids.items():
        values = analysis.scores[analysis.headline][dataset][methods]
        whole = np.isfinite(values).any(axis=1).all(axis=0)
        if whole.any():
            spread = np.where(whole, np.nanvar(np.where(whole, np.nanmean(values, axis=1), 0), axis=0), -1)
            spreads.append((float(spread.max()), dataset, ids[spread.argmax()]))
    return [case(analysis, root, *key) for _, *key in sorted(spreads, key=lambda each: -each[0])[:count]]


def find(analysis: TaskAnalysis, root: Path, key: str) -> Case:
    """Returns the example with an id.

    Raises:
        ScoringError: no scored example has it.
    """
    for dataset, ids in analysis.ids.items():
        if key in ids:
            return case(analysis, root, dataset, key)
    task, some = analysis.run.task, ", ".join(ids[0] for ids in analysis.ids.values()) or "none"
    raise ScoringError(f"no scored example of {task} has the id {key!r}; ids look like {some}")


def case(analysis: TaskAnalysis, root: Path, dataset: str, key: str) -> Case:
    """Collects one example's answers, each method's of the first seed that has scores."""
    run, at = analysis.run, analysis.ids[dataset].index(key)
    outputs = []
    for method in run.methods:
        row = next((row for row, seed in enumerate(run.seeds) if (method, seed) in run.scored), None)
        if row is not None:
            ((prediction, expert, _),) = run.cells[method, run.seeds[row]].answers(dataset, [key])
            score = float(analysis.of_method(method, analysis.headline)[dataset][row, at])
            outputs.append(Output(method, run.seeds[row], prediction, None if np.isnan(score) else score, expert))
    example = test_rows(root, run.task, dataset, [key]).get(key, {})
    question, context, answers = (example.get(name, "") for name in ("question", "context", "answers"))
    return Case(run.task, dataset, key, question, around(context, answers), list(answers), outputs)


def test_rows(root: Path, task: str, dataset: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns {id: row} of those examples that the test set has; nothing where it is missing."""
    path = root / "data/split" / task / "test" / f"{dataset}.parquet"
    rows = pq.read_table(path, filters=[("id", "in", list(keys))]).to_pylist() if path.exists() else []
    return {row["id"]: row for row in rows}


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
        expert = "" if output.expert is None else f" [expert {output.expert}]"
        text = "(no prediction)" if output.prediction is None else output.prediction
        score = "-" if output.points is None else f"{output.points:.0f}"
        lines.append(f"  {output.method:{width}s} {score:>4s}{expert}  {text}")
    return "\n".join(lines)
