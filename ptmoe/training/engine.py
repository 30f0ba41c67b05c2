"""Updates the weights from losses, on one process or many."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ptmoe.config.params import TrainParams
from ptmoe.rows.batches import Batch
from ptmoe.tuning.prompted_lm import AnswerLoss, PromptedLM

BUCKET_ELEMENTS = 1 << 25
ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")


class Engine:
    """AdamW on whole replicas; gradients are summed over the processes once a step.

    An adapter's gradients are a few hundred kilobytes, so that one sum after the last backward pass is cheap,
    and parameters that a batch does not use need no special treatment.

    Args:
        model: the base model with a method; without trainable parameters there is nothing to update.
        accelerator: knows the device and the processes.
        train: gradient clipping and weight decay.
        half: compute in bfloat16 although the trained weights are in float32 (full fine-tuning of a bfloat16 base).
    """

    def __init__(self, model: PromptedLM, accelerator: Accelerator, train: TrainParams, half: bool) -> None:
        self.model, self.accelerator, self._train, self._half = model, accelerator, train, half
        self.trainable = {name: value for name, value in model.named_parameters() if value.requires_grad}
        own = {name: name.removeprefix("method.") for name in self.trainable}
        self._rates = {name: rate for name in own if (rate := model.method.rate_of(own[name]))}
        for name in self.trainable.keys() - self._rates.keys():
            self.trainable[name].requires_grad_(False)
        self._router = [self.trainable[name] for name in self._rates if model.method.is_router(own[name])]
        self._setup()

    def _setup(self) -> None:
        self.model.to(self.accelerator.device)
        self._optimiser = make_optimiser(self._moving(), self._train.weight_decay, list(self._rates.values()))

    def _moving(self) -> list[nn.Parameter]:
        """Returns what an update moves: all that is trained but for what has a rate of zero."""
        return [self.trainable[name] for name in self._rates]

    def forward(self, batch: Batch) -> AnswerLoss:
        """Computes the summed loss of one piece of a batch."""
        device = self.accelerator.device
        with torch.autocast(device.type, dtype=torch.bfloat16) if self._half else nullcontext():
            return self.model(**batch.as_dict())

    def backward(self, loss: Tensor, last: bool) -> None:
        """Adds the gradients of one piece; `last` marks the last piece of a step."""
        loss.backward()

    def step(self, learning_rate: float) -> Tensor:
        """Updates the weights once; returns two norms before clipping: of all gradients, and of the router's alone."""
        assert self._optimiser is not None
        parameters = self._moving()
        if self.accelerator.num_processes > 1:
            sum_gradients(parameters)
        router = self._norm(parameter.grad for parameter in self._router)
        norm = nn.utils.clip_grad_norm_(parameters, self._train.max_grad_norm or float("inf"))
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate * group["ratio"]
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return torch.stack([norm.detach(), router])

    def _norm(self, gradients: Iterable[Tensor | None]) -> Tensor:
        """Returns the norm of all gradients together; 0 where there is none."""
        there = [gradient for gradient in gradients if gradient is not None]
        return nn.utils.get_total_norm(there).to(self.accelerator.device)

    def trainable_state(self) -> dict[str, Tensor]:
        """Returns copies of the trained weights on the CPU, complete at least on the main process."""
        return {name: value.detach().cpu().clone() for name, value in self.trainable.items()}

    def state(self) -> dict[str, Tensor]:
        """Returns everything that the next update depends on, by name; the same names for any number of processes."""
        state = {f"weights/{name}": value for name, value in self.trainable_state().items()}
        moments = self._optimiser.state if self._optimiser is not None else {}
        for name, parameter in self.trainable.items():
            state |= {
                f"{key}/{name}": value.detach().cpu().clone() for key, value in moments.get(parameter, {}).items()
            }
        return state

    def load_moments(self, state: dict[str, Tensor]) -> None:
        """Restores what `state` returned, except the weights, which the model has before the engine is made."""
        for name, parameter in self.trainable.items():
            moments = {key: state[f"{key}/{name}"] for key in ADAM_STATE if f"{key}/{name}" in state}
            if moments and self._optimiser is not None:
                placed = {key: value.to(parameter.device).clone() for key, value in moments.items()}
                self._optimiser.state[parameter] = placed


def make_optimiser(
    parameters: list[nn.Parameter], weight_decay: float, ratios: list[float] | None = None
) -> torch.optim.AdamW | None:
    """Makes AdamW that decays matrices but neither biases nor the scales of norms; None where nothing is trained.

    Args:
        ratios: the rate of each parameter as a multiple of the method's; 1 by default. Each group has its `ratio`.
    """
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter, ratio in zip(parameters, ratios or [1.0] * len(parameters), strict=True):
        members.setdefault((ratio, parameter.ndim < 2), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": members[key], "weight_decay": 0.0 if key[1] else weight_decay, "ratio": key[0]}
        for key in sorted(members)
    ]
    return torch.optim.AdamW(groups, lr=0.0, fused=True) if groups else None


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Replaces every gradient by its sum over the processes, a bucket of 32 M numbers at a time."""
    bucket: list[Tensor] = []
    size = 0
    for index, parameter in enumerate(parameters):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        bucket.append(parameter.grad)
        size += parameter.numel()
        if size >= BUCKET_ELEMENTS or index == len(parameters) - 1:
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            torch.distributed.all_reduce(flat)
            for gradient, part in zip(bucket, flat.split([gradient.numel() for gradient in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))
            bucket, size = [], 0
