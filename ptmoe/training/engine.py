"""From losses to an update of the weights, on one process or many."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ptmoe.data.batching import Batch
from ptmoe.methods.base import Routing
from ptmoe.models.prompted_lm import PromptedLM
from ptmoe.params import TrainParams

BUCKET_ELEMENTS = 1 << 25


class Engine:
    """AdamW on whole replicas; gradients are summed over the processes once a step.

    An adapter's gradients are a few hundred kilobytes, so that one sum after the last backward pass costs nothing,
    and a parameter that a batch leaves unused needs no special care.

    Args:
        model: with at least no trainable parameter; then a step does nothing.
        accelerator: knows the device and the processes.
        train: gradient clipping and weight decay.
        half: compute in bfloat16 although the trained weights are in float32 (full fine-tuning of a bfloat16 base).
    """

    def __init__(self, model: PromptedLM, accelerator: Accelerator, train: TrainParams, half: bool) -> None:
        self.model, self.accelerator, self._train = model.to(accelerator.device), accelerator, train
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._half = half
        self.optimiser = make_optimiser(self.parameters, train.weight_decay) if self.parameters else None

    def forward(self, batch: Batch) -> tuple[Tensor, Routing | None]:
        """Computes the summed loss of one piece of a batch, and how it was routed."""
        device = self.accelerator.device
        with torch.autocast(device.type, dtype=torch.bfloat16) if self._half else nullcontext():
            output = self.model(**batch.as_dict())
        return output.loss_sum, output.routing

    def backward(self, loss: Tensor, last: bool) -> None:
        """Adds the gradients of one piece; `last` marks the last piece of a step."""
        loss.backward()

    def step(self, learning_rate: float) -> Tensor:
        """Updates the weights once; returns the norm of the gradients before they were clipped."""
        assert self.optimiser is not None
        if self.accelerator.num_processes > 1:
            self._sum_gradients()
        limit = self._train.max_grad_norm or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return norm.detach()

    def _sum_gradients(self) -> None:
        bucket: list[Tensor] = []
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(map(torch.numel, bucket)) >= BUCKET_ELEMENTS or index == len(self.parameters) - 1:
                flat = torch.cat([gradient.flatten() for gradient in bucket])
                torch.distributed.all_reduce(flat)
                parts = flat.split([gradient.numel() for gradient in bucket])
                for gradient, part in zip(bucket, parts, strict=True):
                    gradient.copy_(part.view_as(gradient))
                bucket = []

    def trainable_state(self) -> dict[str, Tensor]:
        """Returns copies of the trained weights on the CPU, whole on the main process."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.model.trainable_state().items()}

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Sets the trained weights."""
        self.model.load_trainable_state(state)


def make_optimiser(parameters: list[torch.nn.Parameter], weight_decay: float) -> torch.optim.AdamW:
    """Makes AdamW that decays matrices but neither biases nor the scales of norms."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)
