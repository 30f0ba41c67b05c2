"""The training stage of one cell."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.files import write_text
from ptmoe.methods.params import MethodParams
from ptmoe.models.base import read_base_info
from ptmoe.params import TrainParams
from ptmoe.progress import say
from ptmoe.training.costs import peak_memory_bytes, write_costs
from ptmoe.training.job import TrainJob, check_fit, read_rows
from ptmoe.training.launch import launch
from ptmoe.training.runtime import prepare_torch

if TYPE_CHECKING:
    from accelerate import Accelerator

    from ptmoe.models.base import BaseInfo
    from ptmoe.models.prompted_lm import PromptedLM


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
        TrainingError: the loss diverged, or there are fewer devices than asked for.
        CheckpointError: a checkpoint cannot be written.
        SystemExit: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    job = TrainJob(**locals())
    read_rows(job)
    prepare_torch(read_base_info(base_dir).parameters)  # before `launch` imports torch to count devices
    launch(train_here, job, train.devices)


def train_here(job: TrainJob) -> None:
    """Trains in this process, alone or as one of several."""
    info = read_base_info(job.base_dir)
    prepare_torch(info.parameters)
    from ptmoe.training.checkpoint import Checkpoints, weights_of
    from ptmoe.training.fingerprint import about
    from ptmoe.training.loop import Loop
    from ptmoe.training.router_start import start_router

    training, validation = read_rows(job)
    longest = int(max(training.lengths.max(), validation.lengths.max()))
    accelerator = make_accelerator()
    facts = about(job, info.fingerprint, accelerator.num_processes, accelerator.device.type)
    checkpoints = Checkpoints(job.cell, facts, accelerator.is_main_process)
    model = _make_model(job, info, longest)
    found = checkpoints.load()
    if found is not None:
        model.load_trainable_state(weights_of(found[0]))
    else:
        start_router(model, training, info.pad_token_id, job.seed, accelerator.device)
    loop = Loop(_make_engine(job, model, accelerator, info), job, training, validation, info.pad_token_id, checkpoints)
    if found is not None:
        loop.go_on_from(*found)
    started_s = time.perf_counter()
    weights = loop.run()
    seconds = time.perf_counter() - started_s
    if accelerator.is_main_process:
        model.save(job.adapter_dir, info, job.adapter_note, weights)
        write_text(job.log_file, loop.log.text())
        write_costs(
            f"{job.cell}.train",
            seconds=seconds,
            steps=loop.step,
            tokens=loop.tokens,
            tokens_per_second=loop.tokens / seconds,
            peak_memory_bytes=peak_memory_bytes(),
            processes=accelerator.num_processes,
            device=accelerator.device.type,
        )
        best = f"validation loss {loop.best_loss:.4f} at step {loop.best_step} of {loop.steps}"
        say(f"{job.cell}: {best}, {seconds:.0f} s")
    checkpoints.remove()


def make_accelerator() -> Accelerator:
    """Joins the other processes, if there are any, and takes this one's device."""
    import torch
    from accelerate import Accelerator

    return Accelerator(cpu=not torch.cuda.is_available())


def is_widened(model: PromptedLM, info: BaseInfo) -> bool:
    """Whether a method keeps all weights of a 16-bit base in float32, so as to train them."""
    import torch

    return info.dtype != "float32" and all(weight.dtype == torch.float32 for weight in model.base.parameters())


def _make_model(job: TrainJob, info: BaseInfo, longest: int) -> PromptedLM:
    """Checks everything that can be checked without the weights, and then loads them."""
    import torch

    from ptmoe.methods.registry import load_method
    from ptmoe.models.base import load_base
    from ptmoe.models.geometry import Geometry
    from ptmoe.models.prompted_lm import PromptedLM
    from ptmoe.models.text_init import read_text_init

    geometry = Geometry.from_config(job.base_dir)
    method_class = load_method(job.method_name)
    method_class.check(job.method_params, geometry)
    torch.manual_seed(job.seed)
    method = method_class(job.method_params, geometry)
    check_fit(job, longest, method.prompt_length, geometry.max_positions, info.eos_token_ids)
    text = read_text_init(job.init_file)
    model = PromptedLM(load_base(job.base_dir), method)
    method.initialise(text)
    return model


def _make_engine(job: TrainJob, model: PromptedLM, accelerator: Accelerator, info: BaseInfo) -> Any:
    from ptmoe.training.engine import Engine
    from ptmoe.training.speed import speed_up

    speed_up(model.base, job.train)
    half = is_widened(model, info)
    if job.train.deepspeed == "off" or not model.trainable_parameters:
        return Engine(model, accelerator, job.train, half)
    from ptmoe.training.zero import ZeroEngine

    return ZeroEngine(model, accelerator, job.train, half)
