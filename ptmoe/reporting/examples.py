"""A sample of the test examples with every answer: what the page's browser of examples reads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptmoe.reporting.analysis import TaskAnalysis
from ptmoe.reporting.case_study import around, test_rows

# Bytes for all examples: with figures and tables the page stays below 5 MB.
BUDGET = 3_500_000
# Rows of a data set that are looked at; more never fit into its part of the budget in a run of many data sets.
MOST_ROWS = 1000
TEXT_LENGTH = 240


def as_json(analyses: Sequence[TaskAnalysis], colours: Mapping[str, str], root: Path, budget: int = BUDGET) -> str:
    """Returns the sample as JSON that can stand inside a script element.

    Every data set gets the same part of the budget, in bytes. Examples on which the scores of any two cells differ come
    first, in an order that only the names decide.

    Returns:
        methods, seeds and colours of the run, and of each task its metric, [name, shown, total] of its data sets and
        its rows [data set, id, question, context, gold answers, answers]. Answers are in the order methods x seeds:
        [text, score in percent] or [text, score, expert, gate]; null where a cell has neither answer nor score.
    """
    share = budget // max(1, sum(len(analysis.counts) for analysis in analyses))
    run = analyses[0].run if analyses else None
    content = {
        "methods": run.methods if run else [],
        "seeds": run.seeds if run else [],
        "colours": dict(colours),
        "tasks": [_task(analysis, root, share) for analysis in analyses],
    }
    return _json(content)


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _task(analysis: TaskAnalysis, root: Path, share: int) -> dict[str, Any]:
    run = analysis.run
    rows, datasets = [], []
    for number, (name, ids) in enumerate(analysis.ids.items()):
        scores = analysis.scores[analysis.headline][name].reshape(-1, len(ids))
        order = _differing_first(scores, f"{run.task}/{name}")[:MOST_ROWS]
        keys = [ids[at] for at in order]
        tests = test_rows(root, run.task, name, keys)
        answers = zip(*(result.answers(name, keys) for result in run.cells.values()), strict=True)
        left, kept = share, {}
        for at, said in zip(order, answers, strict=True):
            cells = [_cell(each, score) for each, score in zip(said, scores[:, at], strict=True)]
            row = [number, ids[at], *_question(tests.get(ids[at], {})), cells]
            left -= len(_json(row).encode())
            if left < 0:
                break
            kept[at] = row
        rows += [kept[at] for at in sorted(kept)]
        datasets.append([name, len(kept), len(ids)])
    return {"name": run.task, "metric": analysis.label(), "datasets": datasets, "rows": rows}


def _differing_first(scores: np.ndarray, name: str) -> list[int]:
    """Returns the order in which examples are taken; scores [cells, n]."""
    known = np.where(np.isfinite(scores), scores, np.nanmin(scores, axis=0, initial=1))
    shuffled = np.random.default_rng(zlib.crc32(name.encode())).permutation(scores.shape[1])
    return shuffled[np.argsort(np.ptp(known, axis=0)[shuffled] == 0, kind="stable")].tolist()


def _cell(answer: tuple[str | None, int | None, float | None], score: float) -> list[Any] | None:
    text, expert, gate = answer
    if text is None and np.isnan(score):
        return None
    routed = [] if expert is None else [expert, None if gate is None else round(gate, 2)]
    return [text and _cut(text), None if np.isnan(score) else round(100 * score), *routed]


def _question(test: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    answers = test.get("answers", [])
    context = around(test.get("context", ""), answers)
    return _cut(test.get("question", ""), 2 * TEXT_LENGTH), context, [_cut(each) for each in answers[:5]]


def _cut(text: str, length: int = TEXT_LENGTH) -> str:
    """Leaves out the middle of a long text: answers of word problems end with the number that counts."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} \u2026 {text[-half:]}"
