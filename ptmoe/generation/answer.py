"""What the model says to one row."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Answer:
    """Greedy tokens and how the row was routed.

    Attributes:
        row: its number.
        expert: the expert that the router chose; None without a router.
        probability: that expert's gate.
        tokens: the answer, its end token included.
        finished: whether it has an end token.
    """

    row: int
    expert: int | None
    probability: float | None
    tokens: list[int] = field(default_factory=list)
    finished: bool = False
