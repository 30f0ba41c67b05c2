"""PT-MoE whose router is fitted to training rows and fixed while the experts learn.

Under selective routing the expert that is not chosen gets no gradient, so the printed router learns how far to trust
its choice, but not that another choice would have been better; and AdamW moves its weights at the rate that a soft
prompt needs, which changes the choice within a few steps. Here the router starts from clusters of the rows' gradients,
is fitted again to the experts' losses a few times, and is not trained by gradients.
"""

from __future__ import annotations

from ptmoe.tuning.moe import LowRankMoE, MoEParams


class RoutedPromptTuningMoE(LowRankMoE[MoEParams]):
    """The experts of PT-MoE under a router that is fitted separately (ptmoe/training/router_start.py)."""


METHOD = RoutedPromptTuningMoE
