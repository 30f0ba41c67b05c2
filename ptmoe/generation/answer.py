"""The model's answer to one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass
class Answer:
    """Greedy tokens and how the row was routed.

    Attributes:
        row: the row's number.
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

    def shown(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Returns the text and the other fields that a user sees."""
        # An end token need not be one of the tokenizer's special tokens.
        said = self.tokens[:-1] if self.finished else self.tokens
        return {
            "prediction": str(tokenizer.decode(said, skip_special_tokens=True)).strip(),
            "expert": self.expert,
            # The last digits depend on which rows were computed together.
            "expert_probability": None if self.probability is None else round(self.probability, 6),
            "new_tokens": len(self.tokens),
            "finished": self.finished,
        }
