"""A run's files, cell by cell, and which are missing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from ptmoe.config.cells import Cell
from ptmoe.config.faults import first_fault
from ptmoe.reporting.scored import KEY, Scored, read_scored
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import average
from ptmoe.scoring.cell import DatasetEntry, read_datasets
from ptmoe.scoring.metric import Metric
from ptmoe.scoring.scores import read_table
from ptmoe.statistics.routing import RoutingSummary, kinds_of, summarise

_ANSWER = ["prediction", "expert", "expert_probability"]
T = TypeVar("T")


@dataclass
class CellResult:
    """One cell's outputs; a part that is missing is None or empty.

    Attributes:
        metric, scores: its scores file.
        log: its training log, NaN where a line has no value.
        adapter: its adapter_config.json.
        adapter_bytes: size of its weights file.
        predictions: dataset, id, prediction, expert, expert_probability and new_tokens of each example.
    """

    cell: Cell
    metric: Metric | None
    scores: pd.DataFrame | None
    log: pd.DataFrame
    adapter: dict[str, Any]
    adapter_bytes: int | None
    predictions: pd.DataFrame | None

    @property
    def trainable_parameters(self) -> int | None:
        return self.adapter.get("trainable_parameters")

    def answers(self, dataset: str, ids: Sequence[str]) -> list[tuple[str | None, int | None, float | None]]:
        """Returns the prediction, expert and gate of examples, None for each that is missing."""
        if self.predictions is None:
            return [(None, None, None)] * len(ids)
        rows = self.predictions[self.predictions["dataset"] == dataset].set_index("id")[_ANSWER].reindex(ids)
        known = [(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False)]
        return [(text, None if expert is None else int(expert), gate) for text, expert, gate in known]


@dataclass
class TaskRun:
    """All cells of one task.

    Attributes:
        metric: the cells' metric; None when no cell has scores.
        datasets: {dataset: {"domain", "rows"}} in display order.
        training_sets: the data sets of the training rows; empty where they are not at hand.
        cells: by method and seed.
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

    @property
    def scored(self) -> dict[tuple[str, int], pd.DataFrame]:
        """The scores of the cells that were scored by the task's metric."""
        cells = self.cells.items()
        return {key: cell.scores for key, cell in cells if cell.scores is not None and cell.metric == self.metric}

    @cached_property
    def routing(self) -> dict[tuple[str, int], RoutingSummary]:
        """What the router of each cell that has one does."""
        order, kinds = list(self.datasets), kinds_of(list(self.datasets), self.training_sets)
        summaries = {}
        for key, result in self.cells.items():
            if result.predictions is not None:
                routed = result.predictions.dropna(subset=["expert"]).astype({"expert": int})
                expert, gate, dataset = (routed[name].tolist() for name in (*_ANSWER[1:], "dataset"))
                num_experts = result.adapter.get("params", {}).get("num_experts")
                summaries[key] = summarise(expert, gate, dataset, num_experts, order, kinds)
        return {key: summary for key, summary in summaries.items() if summary is not None}

    @property
    def best_exact(self) -> float:
        """The highest share of exact validation answers that any cell reached; NaN without logs."""
        seen = [result.log["validation_exact"] for result in self.cells.values() if "validation_exact" in result.log]
        return max((share for each in seen for share in each.dropna()), default=np.nan)

    def parameters(self, method: str) -> int | None:
        """Returns a method's trainable parameters, or None where no adapter states them."""
        counts = (self.cells[method, seed].trainable_parameters for seed in self.seeds)
        return next((number for number in counts if number is not None), None)

    def average(self, method: str, seed: int) -> float:
        """Returns one cell's average headline score in 0..1; NaN without scores."""
        scores = self.scored.get((method, seed))
        if scores is None or self.metric is None:
            return np.nan
        values = dict(list(scores.groupby("dataset")[self.metric.headline]))
        return average({name: float(values[name].to_numpy().mean()) for name in self.datasets if name in values})


def read_task(task: str, methods: Sequence[str], seeds: Sequence[int], root: Path) -> TaskRun:
    """Reads every cell of a task that the parameters name, and notes what is missing."""
    problems: list[str] = []
    cells = {
        (method, seed): _read_cell(Cell(task, method, seed), root, problems) for method in methods for seed in seeds
    }
    metric = next((result.metric for result in cells.values() if result.metric is not None), None)
    split_dir = root / "data/split" / task
    datasets: dict[str, DatasetEntry]
    if (split_dir / "datasets.json").exists():
        datasets = read_datasets(split_dir)
    else:
        problems.append(f"{task}: data/split/{task}/datasets.json is missing; data sets are shown without domains.")
        scored = [result.scores for result in cells.values() if result.scores is not None]
        datasets = {name: {"domain": "", "rows": None} for each in scored for name in each["dataset"].unique()}
    problems += [f"{task}: the test set {name} is empty." for name, entry in datasets.items() if entry["rows"] == 0]
    train = split_dir / "train.parquet"
    names = pq.read_table(train, columns=["dataset"])["dataset"].unique().to_pylist() if train.exists() else []
    return TaskRun(task, list(methods), list(seeds), metric, datasets, names, cells, problems)


def _read_cell(cell: Cell, root: Path, problems: list[str]) -> CellResult:
    def read(path: Path, reader: Callable[[Path], T]) -> T | None:
        """Returns what a file holds, or None where it is missing or, noted, damaged."""
        try:
            return reader(path) if path.exists() else None
        except ScoringError as error:
            problems.append(f"{error}.")
        except (ValueError, TypeError, csv.Error) as error:
            reason = first_fault(error) if isinstance(error, ValidationError) else f"{error!s:.100}"
            problems.append(f"{path} is damaged and left out ({reason}).")
        return None

    scored: Scored | None = read(root / cell.scores, read_scored)
    if not (root / cell.scores).exists():
        problems.append(f"{cell.name} has no scores; run `dvc repro score@{cell.name}`.")
    log = read(root / cell.log, _read_log)
    adapter = read(root / cell.adapter / "adapter_config.json", _read_adapter)
    weights = root / cell.adapter / "adapter_model.safetensors"
    predictions = read(root / cell.predictions, _read_predictions)
    if scored is not None:
        problems += [f"{cell.name}: {gap}" for gap in _gaps(scored, predictions)]
    return CellResult(
        cell=cell,
        metric=scored and scored.metric,
        scores=scored and scored.table,
        log=pd.DataFrame() if log is None else log,
        adapter=adapter or {},
        adapter_bytes=weights.stat().st_size if weights.exists() else None,
        predictions=predictions,
    )


def _gaps(scored: Scored, predictions: pd.DataFrame | None) -> list[str]:
    """Names examples without a prediction, which score 0, and scores that are not numbers, which are left out."""
    gaps, total = [], len(scored.table)
    if predictions is not None:
        answered = predictions.dropna(subset=["prediction"]).set_index(KEY).index
        missing = total - scored.table.set_index(KEY).index.isin(answered).sum()
        if missing:
            gaps.append(f"{missing:,} of {total:,} examples have no prediction and count as wrong.")
    broken = int((~np.isfinite(scored.table[list(scored.metric.columns)])).any(axis=1).sum())
    if broken:
        gaps.append(f"{broken:,} of {total:,} scores are not numbers and are left out.")
    return gaps


class _Told(BaseModel):
    """What the report takes from an adapter_config.json."""

    model_config = ConfigDict(extra="allow")

    trainable_parameters: int | None = None
    params: dict[str, Any] = {}
    base: dict[str, Any] = {}
    versions: dict[str, str] = {}


def _read_adapter(path: Path) -> dict[str, Any]:
    return _Told.model_validate_json(path.read_bytes()).model_dump(exclude_unset=True)


def _read_log(path: Path) -> pd.DataFrame:
    with path.open(newline="", encoding="utf-8") as file:
        log = pd.DataFrame(csv.DictReader(file, delimiter="\t")).replace("", None).astype(float)
    if len(log) and "step" not in log:
        raise ValueError("no column `step`")
    return log


def _read_predictions(path: Path) -> pd.DataFrame:
    table = read_table(path, [*KEY, "prediction", "new_tokens"])
    wanted = [*KEY, *_ANSWER, "new_tokens"]
    frame = table.select([name for name in wanted if name in table.column_names]).to_pandas()
    return frame.reindex(columns=wanted).drop_duplicates(KEY)
