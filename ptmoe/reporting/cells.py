"""A run's files, cell by cell, and which are missing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from ptmoe.config.cells import Cell
from ptmoe.config.faults import first_fault
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import average
from ptmoe.scoring.cell import DatasetEntry, read_datasets
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.scores import read_scores, read_table


@dataclass
class CellResult:
    """One cell's outputs; a part that is missing is None or empty.

    Attributes:
        scores: the columns of its scores file: id, dataset, group, a column a metric, by_expert.
        log: the columns of its training log, NaN where a line has no value.
        adapter: its adapter_config.json.
        predictions: the columns of its predictions file.
        adapter_bytes: size of its weights file.
    """

    cell: Cell
    metric: Metric | None = None
    scores: dict[str, np.ndarray] | None = None
    log: dict[str, np.ndarray] = field(default_factory=dict)
    adapter: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, list] | None = None

    adapter_bytes: int | None = None

    @property
    def trainable_parameters(self) -> int | None:
        return self.adapter.get("trainable_parameters")

    @property
    def num_experts(self) -> int | None:
        return self.adapter.get("params", {}).get("num_experts")


@dataclass
class TaskRun:
    """All cells of one task.

    Attributes:
        metric: the cells' metric; None when no cell has scores.
        datasets: {dataset: {"domain", "rows"}} in display order.
        training_sets: the data sets of the training rows; empty where they are not at hand.
        problems: what is missing or damaged, a sentence each.
    """

    task: str
    methods: list[str]
    seeds: list[int]
    metric: Metric | None
    datasets: dict[str, DatasetEntry]
    training_sets: list[str]
    cells: dict[tuple[str, int], CellResult]
    problems: list[str]

    @property
    def base(self) -> dict[str, Any]:
        """The base model that the adapters name."""
        return next((result.adapter["base"] for result in self.cells.values() if "base" in result.adapter), {})

    @property
    def base_name(self) -> str:
        return self.base.get("name", "")

    def average(self, method: str, seed: int, column: str) -> float:
        """Returns one cell's average of a column in 0..1; NaN without scores."""
        scores = self.cells[method, seed].scores
        if scores is None or column not in scores:
            return float("nan")
        names = [name for name in self.datasets if (scores["dataset"] == name).any()]
        return average({name: float(np.mean(scores[column][scores["dataset"] == name])) for name in names})


def best_exact(run: TaskRun) -> float:
    """Returns the highest share of exact validation answers that any cell of a task reached; NaN without logs."""
    seen = [result.log["validation_exact"] for result in run.cells.values() if "validation_exact" in result.log]
    values = np.concatenate([[np.nan], *seen])
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")


def parameters_of(run: TaskRun, method: str) -> int | None:
    """Returns a method's trainable parameters, or None where no adapter states them."""
    counts = (run.cells[method, seed].trainable_parameters for seed in run.seeds)
    return next((number for number in counts if number is not None), None)


def read_task(task: str, methods: Sequence[str], seeds: Sequence[int], root: Path) -> TaskRun:
    """Reads every cell of a task that the parameters name, and notes what is missing."""
    problems: list[str] = []
    cells = {
        (method, seed): _read_cell(Cell(task, method, seed), root, problems) for method in methods for seed in seeds
    }
    scored = [result.scores for result in cells.values() if result.scores is not None]
    metrics = list(dict.fromkeys(result.metric.name for result in cells.values() if result.metric is not None))
    if len(metrics) > 1:
        problems.append(f"{task}: cells were scored by {' and '.join(metrics)}; run `dvc repro score`.")
    metric = next((result.metric for result in cells.values() if result.metric is not None), None)
    split_dir = root / "data/split" / task
    datasets: dict[str, DatasetEntry]
    if (split_dir / "datasets.json").exists():
        datasets = read_datasets(split_dir)
    else:
        problems.append(f"{task}: data/split/{task}/datasets.json is missing; data sets are shown without domains.")
        names = dict.fromkeys(name for scores in scored for name in scores["dataset"])
        datasets = {name: {"domain": "", "rows": None} for name in names}
    problems += [f"{task}: the test set {name} is empty." for name, entry in datasets.items() if entry["rows"] == 0]
    training_sets = _training_sets(root / "data/split" / task / "train.parquet")
    return TaskRun(task, list(methods), list(seeds), metric, datasets, training_sets, cells, problems)


def _training_sets(path: Path) -> list[str]:
    return pq.read_table(path, columns=["dataset"])["dataset"].unique().to_pylist() if path.exists() else []


def _read_cell(cell: Cell, root: Path, problems: list[str]) -> CellResult:
    result = CellResult(cell)
    if (root / cell.scores).exists():
        try:
            result.metric, table = read_scores(root / cell.scores)
            result.scores = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        except ScoringError as error:
            problems.append(f"{error}.")
    else:
        problems.append(f"{cell.name} has no scores; run `dvc repro score@{cell.name}`.")
    if (root / cell.log).exists():
        result.log = _read_log(root / cell.log, problems)
    config = root / cell.adapter / "adapter_config.json"
    if config.exists():
        result.adapter = _read_adapter(config, problems)
        weights = config.with_name("adapter_model.safetensors")
        result.adapter_bytes = weights.stat().st_size if weights.exists() else None
    if (root / cell.predictions).exists():
        try:
            table = read_table(root / cell.predictions, ["id", "dataset", "prediction", "new_tokens"])
            result.predictions = table.to_pydict()
        except ScoringError as error:
            problems.append(f"{error}.")
    _note_gaps(result, problems)
    return result


def _note_gaps(result: CellResult, problems: list[str]) -> None:
    """Notes examples without a prediction, which score 0, and scores that are not numbers, which are left out."""
    scores = result.scores
    if scores is None:
        return
    total = len(scores["id"])
    if result.predictions is not None:
        predictions = result.predictions
        keys = zip(predictions["dataset"], predictions["id"], predictions["prediction"], strict=True)
        answered = {(dataset, key) for dataset, key, prediction in keys if prediction is not None}
        missing = sum(key not in answered for key in zip(scores["dataset"], scores["id"], strict=True))
        if missing:
            problems.append(
                f"{result.cell.name}: {missing:,} of {total:,} examples have no prediction and count as wrong."
            )
    numbers = [scores[name].astype(float) for name in result.metric.columns] if result.metric else []
    broken = int((~np.isfinite(numbers)).any(axis=0).sum()) if total else 0
    if broken:
        problems.append(f"{result.cell.name}: {broken:,} of {total:,} scores are not numbers and are left out.")


class _Told(BaseModel):
    """What the report takes from an adapter_config.json."""

    model_config = ConfigDict(extra="allow")

    trainable_parameters: int | None = None
    params: dict[str, Any] = {}
    base: dict[str, Any] = {}
    versions: dict[str, str] = {}


def _read_adapter(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return _Told.model_validate_json(path.read_bytes()).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems.append(f"{path} is damaged and left out ({first_fault(error)}).")
        return {}


def _read_log(path: Path, problems: list[str]) -> dict[str, np.ndarray]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        log = {name: np.array([float(row[name] or "nan") for row in rows]) for name in (rows[0] if rows else [])}
        if rows and "step" not in log:
            raise ValueError("no column `step`")
        return log
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        problems.append(f"{path} is damaged and left out ({error!s:.100}).")
        return {}
