"""From encoded rows to padded tensors, and the order in which training sees the rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from ptmoe.rows.encoded import Encoded, EncodedSet

IGNORED = -100
# Over how many batches rows are grouped by length; over one, a batch is what chance makes it.
WINDOW_BATCHES = {"grouped": 50, "random": 1}

LossOn = Literal["answer", "text"]


@dataclass(frozen=True)
class Batch:
    """Padded rows.

    Attributes:
        input_ids: [B, T] tokens; the padding token where the mask is 0.
        attention_mask: [B, T] 1 on tokens, 0 on padding.
        labels: [B, T] the token itself where the loss counts it, -100 elsewhere.
        prompt_mask: [B, T] true on prompt tokens; never on padding or answers.
        question_mask: [B, T] true on the question's tokens.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    prompt_mask: Tensor
    question_mask: Tensor

    def to(self, device: torch.device) -> Self:
        """Copies the tensors to a device."""
        return type(self)(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def as_dict(self) -> dict[str, Tensor]:
        """Returns the tensors by the names of the model's arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def collate(
    rows: Sequence[Encoded],
    pad_token_id: int,
    side: Literal["right", "left"] = "right",
    with_targets: bool = True,
    loss_on: LossOn = "answer",
) -> Batch:
    """Pads rows to the longest of them.

    Args:
        pad_token_id: the token id of padding, which is never attended to.
        with_targets: whether answer tokens are kept; without them a row is its prompt.
        loss_on: whether labels stand on the answer or on all of the text.
    """
    lengths = [len(row.input_ids) if with_targets else row.prompt_length for row in rows]
    shape = (len(rows), max(lengths))
    input_ids = np.full(shape, pad_token_id, dtype=np.int64)
    labels = np.full(shape, IGNORED, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.int64)
    prompt_mask, question_mask = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        start = shape[1] - length if side == "left" else 0
        answer, end = start + row.prompt_length, start + length
        input_ids[index, start:end] = row.input_ids[:length]
        first = row.prompt_length if loss_on == "answer" else 1
        labels[index, start + first : end] = row.input_ids[first:length]
        attention_mask[index, start:end] = 1
        prompt_mask[index, start:answer] = True
        question_mask[index, start + row.question_start : start + row.question_end] = True
    return Batch(*map(torch.from_numpy, (input_ids, attention_mask, labels, prompt_mask, question_mask)))


def loss_tokens(dataset: EncodedSet, rows: np.ndarray, loss_on: LossOn = "answer") -> int:
    """Counts the labels of rows: their answers, or all but each row's first token, which nothing predicts."""
    first = dataset.prompt_lengths[rows] if loss_on == "answer" else 1
    return int((dataset.lengths[rows] - first).sum())


def global_batches(
    lengths: np.ndarray, batch_size: int, seed: int, start: int = 0, window_batches: int = WINDOW_BATCHES["grouped"]
) -> Iterator[np.ndarray]:
    """Yields the row numbers [batch_size] of each optimiser step, without end; longest row first.

    Every epoch has a new order and leaves out the few rows that do not fill a batch. Inside a window of batches
    rows are grouped by length, which leaves little padding, and the batches of a window are shuffled. The order
    depends on the arguments alone: not on the number of devices, nor on where an interrupted run resumes.

    Args:
        lengths: [rows] tokens of each row.
        batch_size: rows of one step over all devices; at most the number of rows.
        seed: of the order.
        start: how many steps to skip.
        window_batches: batches of a window.
    """
    per_epoch = len(lengths) // batch_size
    for epoch in itertools.count(start // per_epoch):
        generator = np.random.default_rng([seed, epoch])
        rows = generator.permutation(len(lengths))[: per_epoch * batch_size]
        for first in range(0, per_epoch, window_batches):
            window = rows[first * batch_size : (first + window_batches) * batch_size]
            grouped = window[np.argsort(-lengths[window], kind="stable")].reshape(-1, batch_size)
            yield from generator.permutation(grouped)[max(start - epoch * per_epoch - first, 0) :]


def share_of(rows: np.ndarray, micro_batch_size: int, process: int, processes: int) -> list[np.ndarray]:
    """Splits the rows of one step into the pieces that one process computes.

    Every process gets the same number of pieces, because their collective operations must match; a piece may be
    empty. Rows are dealt out in turn, so that pieces of all processes have similar lengths.
    """
    span = micro_batch_size * processes
    return [rows[first : first + span][process::processes] for first in range(0, len(rows), span)]
