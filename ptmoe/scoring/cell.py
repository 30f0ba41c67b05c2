"""The stage `score`: from one cell's predictions to a score per example and at most four averages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ptmoe.config.faults import first_fault
from ptmoe.config.params import ScoreParams
from ptmoe.runtime.errors import ScoringError
from ptmoe.runtime.files import write_json
from ptmoe.runtime.progress import say
from ptmoe.scoring.averages import IN_DOMAIN, OUT_OF_DOMAIN, average
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.registry import load_metric
from ptmoe.scoring.scores import BY_EXPERT, read_table, write_scores


class DatasetEntry(TypedDict):
    """What datasets.json says of a test set; `rows` is None where it is unknown."""

    domain: str
    rows: int | None


def score_cell(score: ScoreParams, predictions: Path, split_dir: Path, metrics_out: Path, scores_out: Path) -> None:
    """Scores every test example of a task in the order of the test sets; one without a prediction scores 0.

    Args:
        predictions: parquet with id, dataset, prediction and, if experts were forced, by_expert.
        split_dir: data/split/<task> with datasets.json and test/<dataset>.parquet.
        metrics_out: JSON of percentages with two decimals; an average over no example is left out.
        scores_out: parquet with id, dataset, group, a column a metric, 0..1, and `by_expert`: the headline's score of
            the answer under each forced expert, null where none was.

    Raises:
        ScoringError: a file is missing, or predictions do not belong to these test sets.
    """
    datasets = read_datasets(split_dir)
    given = _read_predictions(predictions)
    metric = load_metric(score.metric)
    for rule in (score.rule, *score.dataset_rules.values()):
        metric.check_rule(rule)
    rows: list[dict[str, Any]] = []
    missing = 0
    for dataset in datasets:
        rule = score.rule_of(dataset)
        for test in _read(split_dir / "test" / f"{dataset}.parquet", ["id", "group", "answers"], "split"):
            answers = test["answers"]
            prediction, forced = given.pop((dataset, test["id"]), (None, None))
            missing += prediction is None
            scored = metric.score_one(prediction, answers, rule)
            by_expert = [metric.score_one(each, answers, rule)[metric.headline] for each in forced or []]
            named = {"id": test["id"], "dataset": dataset, "group": test["group"], BY_EXPERT: by_expert or None}
            rows.append(named | dict(scored))
    if given:
        dataset, key = next(iter(given))
        raise ScoringError(
            f"{predictions}: {len(given)} predictions are for examples that are not in {split_dir}, the first is "
            f"{key!r} of {dataset!r}; generate the predictions again"
        )
    if missing:
        say(f"{predictions}: {missing} of {len(rows)} examples have no prediction; they score 0")
    write_scores(scores_out, metric, rows)
    write_json(metrics_out, _summary(metric, rows, datasets))


def _summary(metric: Metric, rows: list[dict[str, Any]], datasets: Mapping[str, DatasetEntry]) -> dict[str, float]:
    """Returns a cell's numbers in percent: the averages that tables show, and the headline's in and out of domain."""
    means = {
        column: {
            name: float(np.mean(values))
            for name in datasets
            if (values := [row[column] for row in rows if row["dataset"] == name])
        }
        for column in metric.shown
    }
    numbers = {column: average(means[column]) for column in metric.shown}
    for suffix, domain in (("in", IN_DOMAIN), ("out", OUT_OF_DOMAIN)):
        inside = {name: mean for name, mean in means[metric.headline].items() if datasets[name]["domain"] == domain}
        numbers[f"{metric.headline}_{suffix}"] = average(inside)
    return {name: round(100 * value, 2) for name, value in numbers.items() if not np.isnan(value)}


def read_datasets(split_dir: Path) -> dict[str, DatasetEntry]:
    """Reads datasets.json, in display order; raises `ScoringError` without it."""
    path = split_dir / "datasets.json"
    if not path.exists():
        raise ScoringError(f"{path} is missing; run `dvc repro split`")
    try:
        return TypeAdapter(dict[str, DatasetEntry]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise ScoringError(f"{path} is damaged ({first_fault(error)}); run `dvc repro -f split`") from None


def _read(path: Path, columns: list[str], stage: str) -> list[dict[str, Any]]:
    if not path.exists():
        raise ScoringError(f"{path} is missing; run `dvc repro {stage}`")
    table = read_table(path, columns)
    return table.select([name for name in table.column_names if name in (*columns, BY_EXPERT)]).to_pylist()


def _read_predictions(path: Path) -> dict[tuple[str, str], tuple[str | None, list[str] | None]]:
    """Returns the prediction of each (dataset, id), and those of the forced experts."""
    rows = _read(path, ["dataset", "id", "prediction"], "generate")
    predictions = {(row["dataset"], row["id"]): (row["prediction"], row.get(BY_EXPERT)) for row in rows}
    if len(predictions) < len(rows):
        raise ScoringError(f"{path} holds {len(rows) - len(predictions)} examples twice; generate it again")
    return predictions
