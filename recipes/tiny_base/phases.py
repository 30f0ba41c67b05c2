"""The order of the training: what is taught when, and which measured skill ends each phase.

Copying comes first: without it the questions stay near guessing. Sums are learnt from dense lines of
them, and only then do chats in many styles make sense.
"""

from dataclasses import dataclass

from recipes.tiny_base.batches import Make
from recipes.tiny_base.chats import math_chat, qa_chat
from recipes.tiny_base.documents import (
    binding,
    counting,
    drill,
    invented_words,
    lookup,
    questions,
    restated,
    small_passage,
)


@dataclass(frozen=True)
class Phase:
    """`shares` of kinds of text, for at most `steps`.

    It ends early when `goal` of the answers to `probe` are right. A phase without shares is trained on
    repeated random tokens.
    """

    name: str
    shares: dict[Make, int]
    steps: int
    probe: Make | None = None
    goal: float = 1.0


PHASES = (
    Phase("repeats", {}, 3000, None, 0.7),
    Phase("restating", {restated: 6, invented_words: 3, counting: 1}, 300),
    Phase("names", {binding: 90, invented_words: 10}, 4000, binding, 0.8),
    Phase("binding", {binding: 15, lookup: 45, small_passage: 30, drill: 10}, 6000, small_passage, 0.8),
    Phase("questions", {lookup: 15, small_passage: 25, questions: 45, drill: 15}, 6000, questions, 0.85),
    Phase("sums", {drill: 75, questions: 25}, 4000, drill, 0.97),
    Phase("chats", {qa_chat: 50, math_chat: 18, questions: 18, small_passage: 10, drill: 4}, 12000),
)
PROBES: dict[str, Make] = {
    "binding": binding,
    "lookup": lookup,
    "one relation": small_passage,
    "questions": questions,
    "sums": drill,
    "qa chats": qa_chat,
    "math chats": math_chat,
}
