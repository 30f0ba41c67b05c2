"""The training stage of one cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ptmoe.base.compute import is_widened, make_accelerator, prepare_torch_for
from ptmoe.base.model import read_base_info
from ptmoe.config.params import TemplateParams
from ptmoe.rows.encoded import read_report
from ptmoe.runtime.costs import peak_memory_bytes, write_costs
from ptmoe.runtime.errors import TrainingError
from ptmoe.runtime.files import write_text
from ptmoe.runtime.launch import launch
from ptmoe.runtime.progress import say
from ptmoe.training.job import TrainJob, check_balance, check_fit, read_rows

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from ptmoe.base.model import BaseInfo
    from ptmoe.tuning.prompted_lm import PromptedLM


def train_cell(job: TrainJob) -> None:
    """Trains one method on one task with one seed; writes the adapter, its log, and its costs.

    Raises:
        DataError: too few rows.
        BaseModelError: the base model cannot be used with the rows or the method.
        TrainingError: the loss diverged, there are fewer devices than requested, or they cannot train the method.
        CheckpointError: a checkpoint cannot be written.
        SystemExit: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    launch(train_here, job, job.train.devices)


def train_here(job: TrainJob) -> None:
    """Trains in this process, alone or as one of several."""
    info, (training, validation) = read_base_info(job.base_dir), read_rows(job)
    prepare_torch_for(info.parameters)
    from ptmoe.training.checkpoint import Checkpoints, weights_of
    from ptmoe.training.fingerprint import about
    from ptmoe.training.loop import Loop
    from ptmoe.training.router_start import start_router
    from ptmoe.tuning.text_init import read_text_init

    longest = int(max(training.lengths.max(), validation.lengths.max()))
    init_text, start = read_text_init(job.init_file)
    accelerator = make_accelerator()
    check_balance(job, accelerator.num_processes)
    facts = about(job, info.fingerprint, accelerator.num_processes, accelerator.device.type)
    checkpoints = Checkpoints(job.cell, facts, accelerator.is_main_process)
    model = _make_model(job, info, longest, start)
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
        model.save(job.adapter_dir, info, _note(job, init_text), weights)
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


def _make_model(job: TrainJob, info: BaseInfo, longest: int, start: Tensor) -> PromptedLM:
    """Loads the base model under the method at its initial values."""
    import torch

    from ptmoe.base.geometry import Geometry
    from ptmoe.base.model import load_base
    from ptmoe.tuning.adapters import read_adapter_tensors
    from ptmoe.tuning.prompted_lm import PromptedLM
    from ptmoe.tuning.registry import load_method

    base = load_base(job.base_dir)
    torch.manual_seed(job.seed)
    method = load_method(job.method_name)(job.method_params, Geometry.from_model(base))
    check_fit(job, longest, method.prompt_length, method.geometry.max_positions, info.eos_token_ids)
    model = PromptedLM(base, method)
    method.initialise(start)
    if job.start is not None:
        model.load_trainable_state(model.trainable_state() | read_adapter_tensors(job.start))
    return model


def _note(job: TrainJob, init_text: str) -> dict[str, Any]:
    """Returns what an adapter records besides the method: task, template and the text that prompts start from."""
    template = read_report(job.encoded_dir)["template"]
    parts = {name: template[name] for name in TemplateParams.model_fields if name in template}
    return {"task": job.task, "template": parts, "init_text": init_text}


def _make_engine(job: TrainJob, model: PromptedLM, accelerator: Accelerator, info: BaseInfo) -> Any:
    from ptmoe.training.engine import Engine
    from ptmoe.training.speed import speed_up

    speed_up(model.base, job.train)
    half = is_widened(model.base, info.dtype)
    if job.train.deepspeed == "off" or not model.trainable_parameters or accelerator.num_processes == 1:
        return Engine(model, accelerator, job.train, half)
    trained = (name.removeprefix("method.") for name, value in model.named_parameters() if value.requires_grad)
    if model.method.router_refits or any(model.method.rate_of(name) != 1 for name in trained):
        raise TrainingError(
            f"deepspeed: {job.train.deepspeed} moves every weight of {job.method_name} at one rate, and its router has "
            f"another or is fitted again in between; set deepspeed to off"
        )
    from ptmoe.training.zero import ZeroEngine

    return ZeroEngine(model, accelerator, job.train, half)
