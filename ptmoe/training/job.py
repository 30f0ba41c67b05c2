"""The arguments of a training run, and the checks that need no base model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.params import Params, TrainParams
from ptmoe.rows.encoded import EncodedSet, open_encoded
from ptmoe.runtime.errors import BaseModelError, DataError, TrainingError
from ptmoe.tuning.method import MethodParams


@dataclass(frozen=True)
class TrainJob:
    """Everything that determines the adapter of one cell, and where it is written.

    Attributes:
        method_params: the method's block of params.yaml.
        train: optimiser, schedule and devices.
        steps: optimiser steps.
        batch_size: rows of one step over all devices.
        learning_rate: after the warm-up.
        start: the adapter of an earlier task to go on from; tensors that it lacks have the method's initial values.
    """

    task: str
    method_name: str
    seed: int
    method_params: MethodParams
    train: TrainParams
    steps: int
    batch_size: int
    learning_rate: float
    base_dir: Path
    encoded_dir: Path
    init_file: Path
    adapter_dir: Path
    log_file: Path
    start: Path | None = None

    @classmethod
    def of_profile(
        cls,
        params: Params,
        cell: Cell,
        method_params: MethodParams,
        learning_rate: float,
        adapter_dir: Path,
        start: Path | None = None,
    ) -> Self:
        """Makes the job of a command: the profile's settings, the pipeline's data, the log beside the adapter."""
        profile = params.profile
        return cls(
            task=cell.task,
            method_name=cell.method,
            seed=cell.seed,
            method_params=method_params,
            train=profile.train,
            steps=profile.steps_of(cell.method, cell.task),
            batch_size=profile.batch_size[cell.task],
            learning_rate=learning_rate,
            base_dir=BASE_DIR,
            encoded_dir=Path("data/encoded") / cell.task,
            init_file=Path("models/init") / f"{cell.task}.safetensors",
            adapter_dir=adapter_dir,
            log_file=adapter_dir.parent / f"{adapter_dir.name}.tsv",
            start=start,
        )

    @property
    def cell(self) -> str:
        return self.adapter_dir.name


def read_rows(job: TrainJob) -> tuple[EncodedSet, EncodedSet]:
    """Opens the rows to train and to validate on.

    Raises:
        DataError: there are too few of them, they have no answers, or a file changed since it was written.
    """
    training, validation = (open_encoded(job.encoded_dir, name) for name in ("train", "validation"))
    if len(training) < job.batch_size:
        raise DataError(
            f"{job.task} has {len(training)} training rows, fewer than batch_size {job.batch_size}; "
            f"lower batch_size.{job.task} or raise train_rows"
        )
    for name, rows in (("training", training), ("validation", validation)):
        if not len(rows):
            raise DataError(f"{job.task} has no {name} rows; raise {name}_rows or give more data")
        if not (rows.lengths > rows.prompt_lengths).all():
            raise DataError(f"a {name} row of {job.task} has no answer tokens; run the encode stage again")
    return training, validation


def check_balance(job: TrainJob, processes: int) -> None:
    """Raises `TrainingError` where the balance loss would see less than a whole batch at once.

    It is a product of two means over the batch, and no sum of what the pieces of a batch give.
    """
    weight = getattr(job.method_params, "balance_loss", 0.0)
    if weight and (processes > 1 or job.train.micro_batch_size < job.batch_size):
        raise TrainingError(
            f"{job.cell}: balance_loss {weight:g} needs each batch in one piece, but micro_batch_size is "
            f"{job.train.micro_batch_size}, batch_size {job.batch_size}, and devices are {processes}; raise "
            f"micro_batch_size to batch_size and use one device, or set balance_loss to 0"
        )


def check_fit(
    job: TrainJob, longest: int, prompt_length: int, max_positions: int | None, end_tokens: list[int]
) -> None:
    """Raises `BaseModelError` where the longest row does not fit the base model, or no token ends an answer."""
    if max_positions is not None and longest + prompt_length > max_positions:
        raise BaseModelError(
            f"{job.cell}: {longest} tokens of text and {prompt_length} of soft prompt exceed the "
            f"{max_positions} positions of the base model; lower max_length.{job.task} or prompt_length"
        )
    if not end_tokens:
        raise BaseModelError("the base model names no end token, so answers would never end; choose another base")
