"""The one training loop of every method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptmoe.rows.batches import IGNORED, WINDOW_BATCHES, Batch, LossOn, collate, global_batches, loss_tokens, share_of
from ptmoe.rows.encoded import EncodedSet
from ptmoe.runtime.errors import TrainingError
from ptmoe.runtime.progress import Progress, say
from ptmoe.runtime.stopping import STOPPED_STATUS, StopRequest
from ptmoe.training.checkpoint import Checkpoints
from ptmoe.training.engine import Engine
from ptmoe.training.job import TrainJob
from ptmoe.training.log import StepLog, routing_sums
from ptmoe.training.router_start import refit_router
from ptmoe.training.schedule import learning_rate_at
from ptmoe.tuning.method import Routing
from ptmoe.tuning.router import Router, balance_loss

VALIDATION_FACTOR = 2
"""Without activations to keep, validation takes this many times the rows of a training piece."""


class RowNoise:
    """Noise for routers that depends on seed, step and row alone, not on how a batch is split."""

    def __init__(self, seed: int, batch_size: int) -> None:
        self._seed, self._batch_size = seed, batch_size
        self._step, self._rows = 0, np.empty(0, dtype=np.int64)

    def at(self, step: int, rows: np.ndarray) -> None:
        """Moves to a step and to the rows of its batch that come next."""
        self._step, self._rows = step, rows

    def draw(self, like: Tensor) -> Tensor:
        """Returns standard normal noise [B, N] for the present rows."""
        noise = np.random.default_rng([self._seed, self._step]).standard_normal(
            (self._batch_size, like.shape[1]), dtype=np.float32
        )
        return torch.from_numpy(noise[self._rows]).to(like, non_blocking=True)


class Loop:
    """Trains, validates, and keeps the best weights.

    Args:
        engine: the model on its device, and how its weights are updated.
        job: everything that determines the result.
        validation: rows that decide which weights are best.
        checkpoints: where an interrupted run resumes.
    """

    def __init__(
        self,
        engine: Engine,
        job: TrainJob,
        training: EncodedSet,
        validation: EncodedSet,
        pad_token_id: int,
        checkpoints: Checkpoints,
    ) -> None:
        self.engine, self.job, self._pad, self._checkpoints = engine, job, pad_token_id, checkpoints
        self._training, self._validation = training, validation
        self._process = engine.accelerator.process_index, engine.accelerator.num_processes
        self.steps = job.steps if engine.trainable else 0
        self.step = 0
        self.log = StepLog(0, int(training.dataset_numbers.max()) + 1)
        self.best_loss, self.best_step = math.inf, 0
        self._best: dict[str, Tensor] = {}
        self.tokens = 0
        self._noise = RowNoise(job.seed, job.batch_size)
        for module in engine.model.modules():
            if isinstance(module, Router):
                module.draw = self._noise.draw

    def run(self) -> dict[str, Tensor]:
        """Trains to the end and returns the weights to keep.

        Raises:
            TrainingError: the loss is no longer a number.
            SystemExit: a signal asked to stop; a checkpoint is written first.
        """
        if self.step == 0:
            self._validate()
        job = self.job
        batches = global_batches(
            self._training.lengths, job.batch_size, job.seed, self.step, WINDOW_BATCHES[job.train.batches]
        )
        self.engine.model.train()
        with Progress(f"Training {job.cell}", self.steps, "steps", self.step) as progress, StopRequest() as stop:
            while self.step < self.steps:
                self._train_step(next(batches))
                self._after_step(stop)
                progress.advance(1)
        return self._best if job.train.keep == "best" else self.engine.trainable_state()

    def _pieces(
        self, dataset: EncodedSet, rows: np.ndarray, size: int, loss_on: LossOn = "answer"
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        """Yields this process's pieces of a batch, with their places in it; a piece without places does not count."""
        for places in share_of(np.arange(len(rows)), size, *self._process):
            taken = [dataset[row] for row in rows[places if len(places) else [0]].tolist()]
            batch = collate(taken, self._pad, loss_on=loss_on)
            if not len(places):
                batch.labels.fill_(IGNORED)
            yield batch.to(self.engine.accelerator.device), places

    def _train_step(self, rows: np.ndarray) -> None:
        self.step += 1
        # All other randomness (dropout of a base or a peft method) depends on the step alone, so that a resumed run
        # needs only the step.
        torch.manual_seed(hash((self.job.seed, self.step, self._process[0])))
        loss_on = self.job.train.loss_on
        num_tokens = loss_tokens(self._training, rows, loss_on)
        self.tokens += int(self._training.lengths[rows].sum())
        pieces = list(self._pieces(self._training, rows, self.job.train.micro_batch_size, loss_on))
        sums = torch.zeros(1 + self.log.num_sums, device=pieces[0][0].labels.device)
        for index, (batch, places) in enumerate(pieces):
            self._noise.at(self.step, places if len(places) else np.zeros(1, dtype=np.int64))
            output = self.engine.forward(batch)
            # The mean over the tokens of the whole batch, however it is split over pieces and processes.
            loss = output.loss_sum / num_tokens
            self.engine.backward(self._with_balance(loss, output.routing), last=index == len(pieces) - 1)
            if len(places):
                sums += self._numbers(loss, output.routing, rows[places])
        norms = self.engine.step(self._rate()).to(sums)
        self.log.add(torch.cat([sums[:1], norms if self._process[0] == 0 else torch.zeros_like(norms), sums[1:]]))

    def _with_balance(self, loss: Tensor, routing: Routing | None) -> Tensor:
        """Adds the balance loss of a batch, which is then one piece (`check_balance`); zero weight adds nothing."""
        factor = self.engine.model.method.balance_loss
        return loss if routing is None or not factor else loss + factor * balance_loss(routing.gates)

    def _numbers(self, loss: Tensor, routing: Routing | None, rows: np.ndarray) -> Tensor:
        loss = loss.detach().float().reshape(1)
        if routing is None:
            return loss
        dataset = torch.from_numpy(self._training.dataset_numbers[rows]).to(loss.device, non_blocking=True)
        return torch.cat([loss, routing_sums(routing, dataset, self.log.num_datasets)])

    def _after_step(self, stop: StopRequest) -> None:
        """Validates, logs, saves and stops where it is due."""
        train, step = self.job.train, self.step
        if step in self.engine.model.method.router_refits:
            refit_router(self.engine.model, self._training, self._pad, self.job.seed, step)
        if step % train.eval_steps == 0 or step == self.steps:
            self._validate()
        elif step % train.log_steps == 0:
            self._check_numbers()
            self.log.write(step, None, self._rate())
        stopping = self._agreed(stop.requested)
        if (step % train.save_steps == 0 or stopping) and step < self.steps:
            self._check_numbers()
            self._checkpoints.save(*self._state())
        if stopping and step < self.steps:
            if self.engine.accelerator.is_main_process:
                say(f"{self.job.cell}: stopped at step {step} of {self.steps}; run it again to continue")
            raise SystemExit(STOPPED_STATUS)

    def _agreed(self, requested: bool) -> bool:
        """Whether any process was asked to stop; several processes ask each other at log steps only."""
        if self._process[1] == 1:
            return requested
        if self.step % self.job.train.log_steps:
            return False
        flag = torch.tensor(float(requested), device=self.engine.accelerator.device)
        torch.distributed.all_reduce(flag)
        return bool(flag)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = self.engine.state() | {f"best/{name}": value for name, value in self._best.items()}
        return tensors, {
            "step": self.step,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "num_experts": self.log.num_experts,
            "lines": self.log.lines,
            "settled": self.log.settled,
        }

    def go_on_from(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restores a checkpoint, except the weights, which the model already has."""
        self.engine.load_moments(tensors)
        self.step, self.best_loss, self.best_step = state["step"], state["best_loss"], state["best_step"]
        self._best = {name.removeprefix("best/"): value for name, value in tensors.items() if name.startswith("best/")}
        self.log.num_experts, self.log.lines, self.log.settled = state["num_experts"], state["lines"], state["settled"]

    def _rate(self) -> float:
        return learning_rate_at(self.step, self.steps, self.job.learning_rate, self.job.train)

    def _check_numbers(self) -> None:
        self.log.settle()
        first = self.step - len(self.log.settled) + 1
        for step, numbers in enumerate(self.log.settled, start=first):
            if not all(map(math.isfinite, numbers)):
                raise TrainingError(
                    f"{self.job.cell}: loss {numbers[0]:.4g} and gradient norm {numbers[1]:.4g} at step {step} are "
                    f"not usable; lower learning_rate.{self.job.method_name} (now {self.job.learning_rate:g}) or "
                    f"set max_grad_norm"
                )

    @torch.no_grad()
    def _validate(self) -> None:
        """Computes the loss of the validation answers, writes a line, and keeps the best weights so far."""
        self._check_numbers()
        self.engine.model.eval()
        order = np.argsort(-self._validation.lengths, kind="stable")
        size = self.job.train.micro_batch_size * VALIDATION_FACTOR
        # The summed loss, and how many rows greedy decoding would answer with the target itself.
        sums = torch.zeros(2, dtype=torch.float64, device=self.engine.accelerator.device)
        num_experts = 0
        for batch, places in self._pieces(self._validation, order, size):
            output = self.engine.forward(batch)
            num_experts = 0 if output.routing is None else output.routing.gates.shape[1]
            assert output.exact is not None  # the model is in eval mode
            if len(places):
                sums += torch.stack([output.loss_sum, output.exact.sum()]).to(sums)
        if self._process[1] > 1:
            torch.distributed.all_reduce(sums)
        loss = float(sums[0]) / loss_tokens(self._validation, order)
        exact = float(sums[1]) / len(self._validation)
        self.engine.model.train()
        if self.step == 0:
            self.log.num_experts = num_experts
        self.log.write(self.step, (loss, exact), self._rate() if self.step else None)
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.job.cell}: the validation loss at step {self.step} is {loss}; lower learning_rate"
            )
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            self._best = self.engine.trainable_state() if self.job.train.keep == "best" else {}
