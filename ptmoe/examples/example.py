"""The one form that every raw record is converted to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its gold answers.

    Attributes:
        id: unique inside its dataset.
        dataset: the data set's name, e.g. `SQuAD`; scores are averaged by it.
        question: the question alone, without an instruction.
        context: the passage that holds the answer; empty for a task without passages.
        answers: the gold answers; a prediction may match any of them.
        target: the text to train on; empty for a test example.
        group: examples of one group (a passage, an original question) are never on both sides of a split.
    """

    id: str
    dataset: str
    question: str
    context: str
    answers: list[str]
    target: str
    group: str
