"""The type of a metric: its columns, the one that ranks methods, its rules, and its scoring function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ptmoe.runtime.errors import ScoringError


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: the name of its file.
        columns: column of a scores file -> its name in tables.
        headline: the column that ranks methods.
        rules: ways to compare answers, the default first.
        score: takes a prediction, the gold answers and a rule; returns a number in 0..1 for each column.
    """

    name: str
    columns: Mapping[str, str]
    headline: str
    rules: Sequence[str]
    score: Callable[[str, Sequence[str], str], Mapping[str, float]]

    @property
    def shown(self) -> list[str]:
        """The columns that tables show: the headline and, where there is one, a second."""
        return [self.headline, *[column for column in self.columns if column != self.headline][:1]]

    def check_rule(self, rule: str) -> None:
        """Raises `ScoringError` for a rule that the metric does not have."""
        if rule not in self.rules:
            raise ScoringError(f"metric {self.name!r} has no rule {rule!r}; allowed: {', '.join(self.rules)}")

    def score_one(self, prediction: str | None, answers: Sequence[str], rule: str) -> Mapping[str, float]:
        """Scores one prediction; a missing one scores 0.

        Raises:
            ScoringError: the metric does not have the rule, or there is no gold answer.
        """
        self.check_rule(rule)
        if not answers:
            raise ScoringError("an example has no gold answer; give at least one")
        return dict.fromkeys(self.columns, 0.0) if prediction is None else self.score(prediction, answers, rule)
