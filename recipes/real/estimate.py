"""What a run will cost on this machine: a few rows are trained on and answered, and multiplied by the grid's sizes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptmoe.base.compute import make_accelerator, prepare_torch
from ptmoe.base.model import load_base, load_tokenizer, read_base_info
from ptmoe.config.cells import BASE_DIR
from ptmoe.config.params import Params
from ptmoe.generation.cell import test_sets
from ptmoe.generation.decode import Decoder
from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import EncodedSet, open_encoded
from ptmoe.tuning.prompted_lm import PromptedLM

MEASURED_ROWS = 4
METHOD = "pt"


@dataclass(frozen=True)
class Seconds:
    """Seconds that one row of a task takes: in training, in validation, and to be answered."""

    train: float
    validate: float
    answer: float


@dataclass(frozen=True)
class Estimate:
    """Hours of one process for the whole grid, and the most gigabytes that the run writes."""

    hours: float
    disk_gb: float


def estimate(params: Params) -> Estimate:
    """Measures each task with prompt tuning, on rows from the shortest to the longest, and adds the grid up.

    Full fine-tuning takes up to half as long again for a step; start-up, scores and the report are not counted.
    """
    grid, profile = params.grid, params.profile
    total = 0.0
    for task in grid.tasks:
        seconds, validation, tests = measure(params, task)
        for method in grid.methods:
            steps = profile.steps_of(method, task)
            checked = validation * (1 + steps // profile.train.eval_steps)
            row_seconds = steps * profile.batch_size[task] * seconds.train + checked * seconds.validate
            total += (row_seconds + tests * seconds.answer) * len(grid.seeds)
    weights = 4 * read_base_info(BASE_DIR).parameters / 1e9
    # Full fine-tuning: the weights twice (result and DVC's cache), and a checkpoint with Adam's two moments.
    full = ("ft" in grid.methods) * (2 * len(grid.tasks) * len(grid.seeds) + 4)
    return Estimate(total / 3600, weights * full + 0.2)


def measure(params: Params, task: str) -> tuple[Seconds, int, int]:
    """Returns the seconds of a task's rows, and how many validation and test rows there are."""
    prepare_torch(BASE_DIR)
    info, profile = read_base_info(BASE_DIR), params.profile
    folder = Path("data/encoded") / task
    base, tokenizer = load_base(BASE_DIR), load_tokenizer(BASE_DIR)
    model = PromptedLM.create(base, METHOD, params.method(METHOD), params.task(task).init_text, tokenizer)
    device = make_accelerator().device
    model.to(device)
    training, validation = open_encoded(folder, "train"), open_encoded(folder, "validation")
    tests = [open_encoded(folder, name) for name in test_sets(folder)]
    count = min(MEASURED_ROWS, len(training), *map(len, tests))
    batch = collate(_spread(training, count), info.pad_token_id).to(device)

    def step() -> None:
        model.train()
        model(**batch.as_dict()).loss_sum.backward()

    def validate() -> None:
        import torch

        model.eval()
        with torch.no_grad():
            model(**batch.as_dict())

    decoder = Decoder(model, info, profile.max_new_tokens[task], profile.generate.max_batch_tokens)

    def answer() -> None:
        for rows in tests:
            taken = _spread(rows, count)
            list(decoder.decode(taken, np.array([row.prompt_length for row in taken])))

    step()  # the first is slower than all that follow
    asked = count * len(tests)
    seconds = Seconds(_timed(step) / count, _timed(validate) / count, _timed(answer) / asked)
    return seconds, len(validation), sum(map(len, tests))


def _spread(rows: EncodedSet, count: int) -> list:
    """Takes rows at even distances in the order of their lengths."""
    order = np.argsort(rows.lengths, kind="stable")
    return [rows[int(order[place])] for place in np.linspace(0, len(order) - 1, count + 2).astype(int)[1:-1]]


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
