"""The training stage of one cell."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ptmoe.files import write_json, write_text
from ptmoe.methods.params import MethodParams
from ptmoe.params import TrainParams
from ptmoe.progress import say
from ptmoe.training import runtime  # noqa: F401  (sets how torch computes, before torch is imported)
from ptmoe.training.job import TrainJob, check_fit, read_rows


def train_cell(
    task: str,
    method_name: str,
    seed: int,
    method_params: MethodParams,
    train: TrainParams,
    batch_size: int,
    learning_rate: float,
    base_dir: Path,
    encoded_dir: Path,
    init_file: Path,
    adapter_dir: Path,
    log_file: Path,
    adapter_note: dict[str, Any],
) -> None:
    """Trains one method on one task with one seed; writes the adapter, its log, and what it cost.

    Args:
        method_params: the method's block of params.yaml.
        train: steps, precision and devices.
        batch_size: rows of one step over all devices.
        learning_rate: after the warm-up.
        adapter_note: what adapter_config.json says besides the method (task, template, init text).

    Raises:
        DataError: too few rows.
        BaseModelError: the base model cannot be used with the rows or the method.
        TrainingError: the loss diverged.
    """
    train_here(TrainJob(**locals()))


def train_here(job: TrainJob) -> None:
    """Trains in this process, alone or as one of several."""
    import torch
    from accelerate import Accelerator

    from ptmoe.methods.registry import load_method
    from ptmoe.models.base import load_base, read_base_info
    from ptmoe.models.geometry import Geometry
    from ptmoe.models.prompted_lm import PromptedLM
    from ptmoe.models.text_init import read_text_init
    from ptmoe.training.engine import Engine
    from ptmoe.training.loop import Loop

    training, validation = read_rows(job)
    info = read_base_info(job.base_dir)
    geometry = Geometry.from_config(job.base_dir)
    method_class = load_method(job.method_name)
    method_class.check(job.method_params, geometry)
    torch.manual_seed(job.seed)
    method = method_class(job.method_params, geometry)
    longest = int(max(training.lengths.max(), validation.lengths.max()))
    check_fit(job, longest, method.prompt_length, geometry.max_positions, info.eos_token_ids)

    accelerator = Accelerator()
    model = PromptedLM(load_base(job.base_dir), method)
    method.initialise(read_text_init(job.init_file))
    half = info.dtype == "bfloat16" and model.base.dtype == torch.float32
    loop = Loop(Engine(model, accelerator, job.train, half), job, training, validation, info.pad_token_id)
    started_s = time.perf_counter()
    weights = loop.run()
    seconds = time.perf_counter() - started_s
    model.save(job.adapter_dir, info, job.adapter_note, weights)
    write_text(job.log_file, loop.log.text())
    write_json(
        Path(".costs") / f"{job.cell}.train.json",
        {"seconds": seconds, "tokens_per_second": loop.tokens / seconds, "steps": loop.steps},
    )
    say(f"{job.cell}: validation loss {loop.best_loss:.4f} at step {loop.best_step} of {loop.steps}, {seconds:.0f} s")
