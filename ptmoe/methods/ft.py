"""Full fine-tuning: every weight of the base model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

from ptmoe.tuning.method import Method, NoParams


class FullFineTuning(Method[NoParams]):
    """Trains all weights, in float32: at a learning rate of 2e-5 most updates vanish in bfloat16."""

    def inject(self, base: PreTrainedModel) -> PreTrainedModel:
        return base.float().requires_grad_(True)


METHOD = FullFineTuning
