"""The training log: one line of numbers every few steps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ptmoe.tuning.method import Routing

COLUMNS = ("step", "loss", "validation_loss", "validation_exact", "learning_rate", "grad_norm")
ROUTER_COLUMNS = ("entropy", "top_probability", "mutual_information", "router_grad_norm")


def routing_sums(routing: Routing, dataset: Tensor, num_datasets: int) -> Tensor:
    """Adds up what is logged of a router.

    Args:
        dataset: [B] number of each row's data set.
        num_datasets: D.

    Returns:
        [2 + D N]: the sums over rows of the gates' entropy (nats) and of the highest gate, and the rows of each data
        set that each expert got.
    """
    entropy = torch.special.entr(routing.gates).sum()
    num_experts = routing.gates.shape[1]
    pairs = torch.nn.functional.one_hot(dataset * num_experts + routing.expert, num_datasets * num_experts).sum(0)
    return torch.cat([torch.stack([entropy, routing.probability.sum()]), pairs]).float().detach()


def mutual_information(counts: np.ndarray) -> float:
    """Returns the mutual information (nats) of data set and expert whose rows are counted in [D, N]."""
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    seen = joint > 0
    return abs(float((joint[seen] * np.log(joint[seen] / apart[seen])).sum()))


class StepLog:
    """Collects the numbers of steps on the device and turns them into lines of a table.

    Numbers stay on the device until a line is written.

    Args:
        num_experts: N; 0 for a method without a router.
        num_datasets: D, of the training rows.
    """

    def __init__(self, num_experts: int, num_datasets: int) -> None:
        self.num_experts, self.num_datasets = num_experts, num_datasets
        self.lines: list[str] = []
        self.settled: list[list[float]] = []
        self._pending: list[Tensor] = []

    @property
    def columns(self) -> list[str]:
        experts = [f"expert_{index}" for index in range(self.num_experts)]
        return [*COLUMNS, *experts, *(ROUTER_COLUMNS if experts else [])]

    @property
    def num_sums(self) -> int:
        """How many numbers `routing_sums` gives; 0 without a router."""
        return 2 + self.num_datasets * self.num_experts if self.num_experts else 0

    def add(self, numbers: Tensor) -> None:
        """Adds one step's numbers: loss, the gradients' norm, that of the router's and, with a router, its sums."""
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
                router_norm, entropy, probability, *pairs = sums[2:]
                counts = np.array(pairs).reshape(self.num_datasets, self.num_experts)
                rows = counts.sum()
                rest = [
                    *map(round, counts.sum(axis=0).tolist()),
                    *(entropy / rows, probability / rows, mutual_information(counts)),
                    router_norm / len(self.settled),
                ]
        self.lines.append("\t".join(map(_shown, [*values, *rest])))
        self.settled = []

    def text(self) -> str:
        """Returns the table so far, tab-separated, with a header."""
        return "\n".join(["\t".join(self.columns), *self.lines]) + "\n"


def _shown(value: float | int | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.7g}"
