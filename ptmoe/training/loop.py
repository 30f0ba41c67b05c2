"""The one training loop of every method."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ptmoe.data.batching import IGNORED, Batch, collate, global_batches, share_of
from ptmoe.data.encoded import EncodedSet
from ptmoe.errors import TrainingError
from ptmoe.methods.base import Routing
from ptmoe.progress import Progress
from ptmoe.training.engine import Engine
from ptmoe.training.job import TrainJob
from ptmoe.training.log import StepLog, routing_sums
from ptmoe.training.schedule import learning_rate_at

VALIDATION_FACTOR = 2
"""Without activations to keep, validation takes this many times the rows of a training piece."""


class Loop:
    """Trains, validates, and keeps the best weights.

    Args:
        engine: the model on its device, and how its weights are updated.
        job: what decides the result.
        training: rows that the loss is computed on.
        validation: rows that tell which weights are best.
        pad_token_id: stands on padding.
    """

    def __init__(
        self, engine: Engine, job: TrainJob, training: EncodedSet, validation: EncodedSet, pad_token_id: int
    ) -> None:
        self.engine, self.job, self._pad = engine, job, pad_token_id
        self._training, self._validation = training, validation
        self._process = engine.accelerator.process_index, engine.accelerator.num_processes
        self.steps = job.train.steps if engine.parameters else 0
        self.step = 0
        self.log = StepLog(0)
        self.best_loss, self.best_step = math.inf, 0
        self.best_state: dict[str, Tensor] = {}
        self.tokens = 0

    def run(self) -> dict[str, Tensor]:
        """Trains to the end and returns the weights to keep.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        if self.step == 0:
            self._validate()
        job, lengths = self.job, self._training.lengths
        batches = global_batches(lengths, job.batch_size, job.seed, self.step)
        self.engine.model.train()
        with Progress(f"Training {job.cell}", self.steps, "steps", self.step) as progress:
            while self.step < self.steps:
                self._train_step(next(batches))
                note = self._after_step()
                progress.advance(1, note)
        return self.best_state if job.train.keep == "best" else self.engine.trainable_state()

    def _pieces(self, dataset: EncodedSet, rows: np.ndarray, size: int) -> Iterator[tuple[Batch, bool]]:
        """Yields this process's pieces of a batch, and whether each holds rows that count."""
        for piece in share_of(rows, size, *self._process):
            counts = len(piece) > 0
            batch = collate([dataset[row] for row in (piece if counts else rows[:1]).tolist()], self._pad)
            if not counts:
                batch.labels.fill_(IGNORED)
            yield batch.to(self.engine.accelerator.device), counts

    def _train_step(self, rows: np.ndarray) -> None:
        self.step += 1
        lengths, prompts = self._training.lengths[rows], self._training.prompt_lengths[rows]
        answer_tokens = int((lengths - prompts).sum())
        self.tokens += int(lengths.sum())
        pieces = list(self._pieces(self._training, rows, self.job.train.micro_batch_size))
        sums = torch.zeros(3 + self.log.num_experts if self.log.num_experts else 1, device=pieces[0][0].labels.device)
        for index, (batch, counts) in enumerate(pieces):
            loss_sum, routing = self.engine.forward(batch)
            # The mean over the answer tokens of the whole batch, however it is split over pieces and processes.
            loss = loss_sum / answer_tokens
            self.engine.backward(loss, last=index == len(pieces) - 1)
            if counts:
                sums += self._numbers(loss, routing)
        norm = self.engine.step(learning_rate_at(self.step, self.job.learning_rate, self.job.train))
        share = norm if self._process[0] == 0 else torch.zeros_like(norm)
        self.log.add(torch.cat([sums[:1], share.reshape(1).to(sums), sums[1:]]))

    def _numbers(self, loss: Tensor, routing: Routing | None) -> Tensor:
        loss = loss.detach().float().reshape(1)
        return loss if routing is None else torch.cat([loss, routing_sums(routing)])

    def _after_step(self) -> str:
        """Writes and validates where it is due; returns the last loss to show."""
        train, step = self.job.train, self.step
        last = step == self.steps
        if step % train.eval_steps == 0 or last:
            self._validate()
        elif step % train.log_steps == 0:
            self._check_numbers()
            self.log.write(step, None, self._rate())
        return ""

    def _rate(self) -> float | None:
        return learning_rate_at(self.step, self.job.learning_rate, self.job.train) if self.step else None

    def _check_numbers(self) -> None:
        self.log.settle()
        for offset, numbers in enumerate(reversed(self.log.settled)):
            if not all(map(math.isfinite, numbers)):
                step = self.step - offset
                raise TrainingError(
                    f"{self.job.cell}: loss {numbers[0]:.4g} and gradient norm {numbers[1]:.4g} at step {step} are "
                    f"not usable; lower learning_rate.{self.job.method_name} (now {self.job.learning_rate:g}) or "
                    f"set max_grad_norm"
                )

    @torch.no_grad()
    def _validate(self) -> None:
        """Computes the validation loss, writes a line, and keeps the weights when they are the best so far."""
        self._check_numbers()
        self.engine.model.eval()
        order = np.argsort(-self._validation.lengths, kind="stable")
        size = self.job.train.micro_batch_size * VALIDATION_FACTOR
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.engine.accelerator.device)
        num_experts = 0
        for batch, counts in self._pieces(self._validation, order, size):
            piece_loss, routing = self.engine.forward(batch)
            num_experts = 0 if routing is None else routing.gates.shape[1]
            if counts:
                loss_sum += piece_loss
        if self._process[1] > 1:
            torch.distributed.all_reduce(loss_sum)
        loss = float(loss_sum) / int((self._validation.lengths - self._validation.prompt_lengths).sum())
        self.engine.model.train()
        if self.step == 0:
            self.log.num_experts = num_experts
        self.log.write(self.step, loss, self._rate())
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self.job.cell}: the validation loss at step {self.step} is {loss}; lower learning_rate"
            )
        if loss < self.best_loss and self.job.train.keep == "best":
            self.best_loss, self.best_step, self.best_state = loss, self.step, self.engine.trainable_state()
