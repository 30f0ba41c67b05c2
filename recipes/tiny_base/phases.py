"""The order of the training: what is taught when, and which measured skill ends each phase.

Copying comes first: without it the questions stay near guessing. Sums are learnt from dense lines of
them, and only then do chats in many styles make sense.
"""

from dataclasses import dataclass

from recipes.tiny_base import documents
from recipes.tiny_base.batches import Make
from recipes.tiny_base.chats import math_chat, qa_chat


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
    Phase("restating", {documents.restated: 6, documents.invented_words: 3, documents.counting: 1}, 300),
    Phase("names", {documents.binding: 90, documents.invented_words: 10}, 4000, documents.binding, 0.8),
    Phase(
        "binding",
        {documents.binding: 15, documents.lookup: 45, documents.small_passage: 30, documents.drill: 10},
        6000,
        documents.small_passage,
        0.8,
    ),
    Phase(
        "questions",
        {documents.lookup: 15, documents.small_passage: 25, documents.questions: 45, documents.drill: 15},
        6000,
        documents.questions,
        0.85,
    ),
    Phase("sums", {documents.drill: 75, documents.questions: 25}, 4000, documents.drill, 0.97),
    Phase(
        "chats",
        {
            qa_chat: 50,
            math_chat: 18,
            documents.questions: 18,
            documents.small_passage: 10,
            documents.drill: 4,
        },
        12000,
    ),
)
PROBES: dict[str, Make] = {
    "binding": documents.binding,
    "lookup": documents.lookup,
    "one relation": documents.small_passage,
    "questions": documents.questions,
    "sums": documents.drill,
    "qa chats": qa_chat,
    "math chats": math_chat,
}
