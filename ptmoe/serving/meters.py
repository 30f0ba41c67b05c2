"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Meters:
    """The server's measures; every label is from a fixed set, so that no request can make new ones without end.

    Args:
        rows: returns the rows that are being answered, and those that wait.
    """

    def __init__(self, rows: Callable[[], tuple[int, int]]) -> None:
        self.registry = registry = CollectorRegistry()
        self.replies = Counter("ptmoe_replies", "Replies by status", ["status"], registry=registry)
        self.cancelled = Counter("ptmoe_cancelled", "Questions whose client went away", registry=registry)
        self.prompt_tokens = Counter("ptmoe_prompt_tokens", "Tokens of questions", ["model"], registry=registry)
        self.new_tokens = Counter("ptmoe_new_tokens", "Tokens of answers", ["model"], registry=registry)
        self.experts = Counter(
            "ptmoe_expert_chosen", "Answers by chosen expert", ["model", "expert"], registry=registry
        )
        self.seconds = Histogram("ptmoe_answer_seconds", "Time to a whole answer", ["model"], registry=registry)
        for number, (name, text) in enumerate({"answering": "being answered", "waiting": "waiting"}.items()):
            gauge = Gauge(f"ptmoe_rows_{name}", f"Rows that are {text}", registry=registry)
            gauge.set_function(lambda number=number: rows()[number])
