"""DeepSpeed's ZeRO: optimiser state (1), gradients (2) and weights (3) are spread over the processes."""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch
from torch import Tensor

from ptmoe.rows.batches import Batch
from ptmoe.runtime.errors import TrainingError
from ptmoe.training.engine import Engine, make_optimiser
from ptmoe.tuning.prompted_lm import AnswerLoss

MOMENTS = ("exp_avg", "exp_avg_sq")


class ZeroEngine(Engine):
    """The same updates as `Engine`, for full fine-tuning of a base whose weights and moments do not fit one device.

    State goes to and from checkpoints by the names of the weights, so that it does not depend on the partition.
    """

    def _setup(self) -> None:
        device = self.accelerator.device
        os.environ.setdefault("DS_ACCELERATOR", device.type)
        try:
            import deepspeed
        except ImportError:
            raise TrainingError(
                "deepspeed: the package is not installed; run `pip install deepspeed`, or set it to off"
            ) from None
        if device.type == "cpu":
            _use_gloo(deepspeed)
        # DeepSpeed still calls the old names of torch's collectives, which say so at every call.
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
        self._optimiser = make_optimiser(self._moving(), self._train.weight_decay)
        if self._train.deepspeed == "zero3":
            self._partition(deepspeed)
        self._engine: Any = deepspeed.initialize(
            model=self.model, optimizer=self._optimiser, config=self._config(), dist_init_required=False
        )[0]

    def _partition(self, deepspeed: Any) -> None:
        """Moves this process's part of each weight to the device, one by one: whole weights may not fit."""
        deepspeed.zero.Init(module=self.model, config_dict_or_path=self._config(), dtype=torch.float32)
        for buffer in self.model.buffers():
            buffer.data = buffer.data.to(self.accelerator.device)
        for parameter in self.model.method.parameters():  # the model reads them without calling the method's `forward`
            deepspeed.zero.register_external_parameter(self.model, parameter)

    def _config(self) -> dict[str, Any]:
        stage = int(self._train.deepspeed.removeprefix("zero"))
        return {
            "zero_optimization": {"stage": stage, "overlap_comm": stage > 1},
            # Pieces of a step are counted by the loop, and its losses are sums: to DeepSpeed every step is one batch.
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": self._train.max_grad_norm,
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 1 << 62,
            "torch_autocast": {"enabled": self._half, "dtype": "bfloat16"},
        }

    def forward(self, batch: Batch) -> AnswerLoss:
        return self._engine(**batch.as_dict())

    def backward(self, loss: Tensor, last: bool) -> None:
        """Adds the gradients of one piece; DeepSpeed takes the mean over the processes, so the loss is scaled up."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss * self.accelerator.num_processes)

    def step(self, learning_rate: float) -> Tensor:
        from deepspeed.utils import safe_get_full_grad

        router = self._norm(safe_get_full_grad(parameter) for parameter in self._router)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        norm = torch.as_tensor(self._engine.get_global_grad_norm(), device=self.accelerator.device)
        return torch.stack([norm.to(router), router])

    def trainable_state(self) -> dict[str, Tensor]:
        """Returns copies of the trained weights on the CPU, gathered from all processes."""
        from deepspeed.utils import safe_get_full_fp32_param

        return {name: self._kept(safe_get_full_fp32_param(value)) for name, value in self.trainable.items()}

    def state(self) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_optimizer_state

        state = {f"weights/{name}": value for name, value in self.trainable_state().items()}
        self._link()
        for name, parameter in self.trainable.items():
            for key in MOMENTS:
                state[f"{key}/{name}"] = self._kept(safe_get_full_optimizer_state(parameter, key))
            state[f"step/{name}"] = self._moments()[0]["step"].detach().cpu().clone()
        return state

    def load_moments(self, state: dict[str, Tensor]) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        step = next(value for name, value in state.items() if name.startswith("step/"))
        for flat in self._flat_parts():
            moments = {key: torch.zeros_like(flat) for key in MOMENTS}
            self._inner.state[flat] = {"step": step.to(flat.device).clone(), **moments}
        self._link()
        for name, parameter in self.trainable.items():
            for key in MOMENTS:
                safe_set_full_optimizer_state(parameter, state[f"{key}/{name}"].to(self.accelerator.device), key)

    @property
    def _inner(self) -> torch.optim.Optimizer:
        return self._engine.optimizer.optimizer

    def _flat_parts(self) -> list[Tensor]:
        """Returns this process's parts of the weights, a flat tensor a group, that the inner optimiser works on."""
        stage_3 = self._train.deepspeed == "zero3"
        outer = self._engine.optimizer
        return outer.fp32_partitioned_groups_flat if stage_3 else outer.single_partition_of_fp32_groups

    def _moments(self) -> list[dict[str, Tensor]]:
        return [self._inner.state[flat] for flat in self._flat_parts()]

    def _link(self) -> None:
        # DeepSpeed links moments to weights once, after the first group's first step: later groups then have none.
        if self._train.deepspeed != "zero3":
            from deepspeed.utils import lazy_init_hp_params_optimizer_state

            for weights, flat in zip(self._engine.optimizer.bit16_groups, self._flat_parts(), strict=True):
                lazy_init_hp_params_optimizer_state(weights, flat, self._inner.state)

    def _kept(self, value: Tensor | None) -> Tensor:
        assert value is not None
        return value.detach().cpu().clone() if self.accelerator.is_main_process else torch.empty(0)


def _use_gloo(deepspeed: Any) -> None:
    """Keeps DeepSpeed from compiling a sum over shared memory of its own, which takes a minute or more at first use."""
    from deepspeed.accelerator.cpu_accelerator import CPU_Accelerator

    class Gloo(CPU_Accelerator):
        def create_op_builder(self, op_name: str) -> Any:
            return None if op_name == "ShareMemCommBuilder" else super().create_op_builder(op_name)

    deepspeed.accelerator.set_accelerator(Gloo())
