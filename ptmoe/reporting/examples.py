"""A sample of the test examples with every answer: what the page's browser of examples reads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptmoe.reporting.analysis import TaskAnalysis, align
from ptmoe.reporting.case_study import around, ids_in_order, test_rows
from ptmoe.reporting.cells import TaskRun

# Bytes for all examples: with figures and tables the page stays below 5 MB.
BUDGET = 3_500_000
# Rows of a data set that are looked at; more never fit into its part of the budget in a run of many data sets.
MOST_ROWS = 1000
TEXT_LENGTH = 240
Key = tuple[str, str]


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
    aligned, _ = align(run)
    scores, order, ids = {}, {}, {}
    for name in analysis.counts:
        ids[name] = ids_in_order(run, name)
        columns = [aligned[method][analysis.headline][name] for method in run.methods]
        scores[name] = np.concatenate(columns)  # [methods x seeds, n]
        order[name] = _differing_first(scores[name], f"{run.task}/{name}")[:MOST_ROWS]
    said = _answers(run, {(name, ids[name][at]) for name in order for at in order[name]})
    rows, datasets = [], []
    for number, name in enumerate(order):
        tests = test_rows(root, run.task, name, [ids[name][at] for at in order[name]])
        left, kept = share, {}
        for at in order[name]:
            key = ids[name][at]
            cells = [_cell(each.get((name, key)), score) for each, score in zip(said, scores[name][:, at], strict=True)]
            kept[at] = [number, key, *_question(tests.get(key, {})), cells]
            left -= len(_json(kept[at]).encode())
            if left < 0:
                del kept[at]
                break
        rows += [kept[at] for at in sorted(kept)]
        datasets.append([name, len(kept), len(ids[name])])
    return {"name": run.task, "metric": analysis.label(), "datasets": datasets, "rows": rows}


def _differing_first(scores: np.ndarray, name: str) -> list[int]:
    """Returns the order in which examples are taken; scores [cells, n]."""
    known = np.where(np.isfinite(scores), scores, np.nanmin(scores, axis=0, initial=1))
    shuffled = np.random.default_rng(zlib.crc32(name.encode())).permutation(scores.shape[1])
    return shuffled[np.argsort(np.ptp(known, axis=0)[shuffled] == 0, kind="stable")].tolist()


def _answers(run: TaskRun, wanted: set[Key]) -> list[dict[Key, tuple[Any, ...]]]:
    """Returns {(data set, id): (text, expert, gate)} of each cell."""
    answers = []
    for result in run.cells.values():
        given = result.predictions or {"dataset": [], "id": []}
        missing = [None] * len(given["id"])
        told = (given.get(name, missing) for name in ("prediction", "expert", "expert_probability"))
        rows = zip(zip(given["dataset"], given["id"], strict=True), *told, strict=True)
        answers.append({key: tuple(rest) for key, *rest in rows if key in wanted})
    return answers


def _cell(said: tuple[Any, ...] | None, score: float) -> list[Any] | None:
    if said is None and np.isnan(score):
        return None
    text, expert, gate = said or (None, None, None)
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
