"""Switches that trade one cost for another, without changing what is computed."""

from __future__ import annotations

from transformers import PreTrainedModel

from ptmoe.config.params import TrainParams
from ptmoe.runtime.errors import TrainingError


def speed_up(base: PreTrainedModel, train: TrainParams) -> None:
    """Applies gradient checkpointing, fused kernels and compilation where params.yaml sets them.

    Raises:
        TrainingError: liger is requested, but is not installed or has no kernels for this architecture.
    """
    if train.liger:
        try:
            from liger_kernel.transformers import monkey_patch  # type: ignore[import-not-found]
        except ImportError:
            raise TrainingError(
                "liger: got true, but liger-kernel is not installed; run `pip install liger-kernel`, or set false"
            ) from None
        served = monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN
        if base.config.model_type not in served:
            raise TrainingError(
                f"liger: got true, but liger-kernel has no kernels for {base.config.model_type}; set false, or choose "
                f"a base of one of: {', '.join(sorted(served))}"
            )
        # The loss is computed at answer positions alone, which is less work than fusing it over all of them.
        monkey_patch._apply_liger_kernel_to_instance(model=base, fused_linear_cross_entropy=False)
    if train.gradient_checkpointing:
        # The old name goes with transformers 6, the new one came with 5.23.
        enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if train.compile:
        base.base_model.compile(dynamic=True)
