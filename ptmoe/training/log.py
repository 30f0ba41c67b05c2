"""The training log: one line of numbers every few steps."""

from __future__ import annotations

import torch
from torch import Tensor

from ptmoe.tuning.method import Routing

COLUMNS = ("step", "loss", "validation_loss", "validation_exact", "learning_rate", "grad_norm")


def routing_sums(routing: Routing) -> Tensor:
    """Returns [2 + N]: the sum over rows of the gates' entropy (nats), of the highest gate, and each expert's rows."""
    entropy = torch.special.entr(routing.gates).sum()
    counts = torch.nn.functional.one_hot(routing.expert, routing.gates.shape[1]).sum(0)
    return torch.cat([torch.stack([entropy, routing.probability.sum()]), counts]).float().detach()


class StepLog:
    """Collects the numbers of steps on the device and turns them into lines of a table.

    Numbers stay on the device until a line is written.

    Args:
        num_experts: 0 for a method without a router.
    """

    def __init__(self, num_experts: int) -> None:
        self.num_experts = num_experts
        self.lines: list[str] = []
        self.settled: list[list[float]] = []
        self._pending: list[Tensor] = []

    @property
    def columns(self) -> list[str]:
        experts = [f"expert_{index}" for index in range(self.num_experts)]
        return [*COLUMNS, *experts, *(["entropy", "top_probability"] if experts else [])]

    def add(self, numbers: Tensor) -> None:
        """Adds one step's numbers: loss, gradient norm and, with a router, its sums."""
        self._pending.append(numbers)

    def settle(self) -> None:
        """Brings the pending numbers, summed over all processes, from the device."""
        if self._pending:
            stacked = torch.stack(self._pending)
            if torch.distributed.is_initialized():
                torch.distributed.all_reduce(stacked)
            self.settled += stacked.tolist()
            self._pending = []

    def write(self, step: int, validation: tuple[float, float] | None, learning_rate: float | None) -> None:
        """Ends a line with the means over the steps since the last one.

        Args:
            validation: mean loss of the answer tokens, and share of the rows whose answer is exact.
        """
        self.settle()
        values: list[float | int | None] = [step, None, *(validation or (None, None)), learning_rate, None]
        rest: list[float | int | None] = [None] * (len(self.columns) - len(COLUMNS))
        if self.settled:
            sums = [sum(column) for column in zip(*self.settled, strict=True)]
            values[1], values[5] = sums[0] / len(self.settled), sums[1] / len(self.settled)
            if rest:
                entropy, probability, *counts = sums[2:]
                rest = [*map(round, counts), entropy / sum(counts), probability / sum(counts)]
        self.lines.append("\t".join(map(_shown, [*values, *rest])))
        self.settled = []

    def text(self) -> str:
        """Returns the table so far, tab-separated, with a header."""
        return "\n".join(["\t".join(self.columns), *self.lines]) + "\n"


def _shown(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.7g}"
