"""The learning rate of each step."""

from __future__ import annotations

import math

from ptmoe.config.params import TrainParams


def learning_rate_at(step: int, steps: int, peak: float, train: TrainParams) -> float:
    """Returns the rate of the update that ends step `step` (1 .. steps): a linear rise, then the schedule.

    The first update already has a rate above zero, one step ahead of transformers' schedules; the decaying ones reach
    zero after the last.
    """
    if step <= train.warmup_steps:
        return peak * step / train.warmup_steps
    done = (step - 1 - train.warmup_steps) / max(steps - train.warmup_steps, 1)
    match train.schedule:
        case "linear":
            return peak * (1 - done)
        case "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * done))
        case _:
            return peak
