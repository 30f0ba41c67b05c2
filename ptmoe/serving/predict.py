"""Answers the questions of a user's file with adapters, each in its own template."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.examples.example import Example
from ptmoe.examples.records import read_records
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of, write_text
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    from ptmoe.generation.session import Session
    from ptmoe.serving.opened import House, Opened

Question = tuple[Example, bool]
"""A question, and whether it came with answers, which are then copied."""
KEYS = ("id", "context", "question", "answers", "answer", "target", "group")


def answer_questions(questions: Sequence[Question], house: House, out: Path) -> None:
    """Answers questions with every adapter of a house; writes a line per answer, in the order of the questions.

    The same call continues an interrupted one. A line has `id`, `adapter` (where there are several), `answers` (where
    they were given), `prediction`, `expert`, `expert_probability`, `new_tokens` and `finished`.

    Raises:
        DataError: a question has a context and an adapter's template no place for it.
        BaseModelError: a question and its answer exceed the base model's positions.
    """
    several = len(house.adapters) > 1
    sessions = {
        name: _session([example for example, _ in questions], house, adapter, out)
        for name, adapter in house.adapters.items()
    }
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, session in sessions.items():
        found = session.answer(range(len(questions)))
        answers[name] = [found[number].shown(house.tokenizer) for number in range(len(questions))]
    lines = []
    for number, (example, given) in enumerate(questions):
        for name, shown in answers.items():
            line = {"id": example.id} | ({"adapter": name} if several else {})
            line |= ({"answers": example.answers} if given else {}) | shown[number]
            lines.append(json.dumps(line, ensure_ascii=False))
    write_text(out, "".join(f"{line}\n" for line in lines))
    for session in sessions.values():
        session.remove()
    for name, shown in answers.items():
        experts = Counter(answer["expert"] for answer in shown if answer["expert"] is not None)
        chosen = "".join(f", expert {expert}: {count}" for expert, count in sorted(experts.items()))
        say(f"{out}: {len(questions)} answers{f' of {name}' if several else ''}{chosen}")


def read_questions(path: Path) -> Iterator[Question]:
    """Yields each question of a JSONL file; raises `DataError` at a malformed line."""
    try:
        for number, record in enumerate(read_records(path)):
            for key in record.values:
                if key not in KEYS:
                    record.refuse(f"unknown key {key!r}; allowed: {', '.join(KEYS)}")
            question = record.text("question")
            if not question:
                record.refuse("'question' is empty")
            answers = record.texts("answers", [])
            answers = answers or ([record.number("answer")] if "answer" in record.values else [])
            name = record.number("id") if record.values.get("id") is not None else str(number)
            yield Example(name, "", question, record.text("context", ""), answers, "", ""), bool(answers)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; give a JSONL file with one question per line") from None


def _session(examples: list[Example], house: House, adapter: Opened, out: Path) -> Session:
    """Prepares one adapter's answers; partial ones are kept beside the output."""
    from ptmoe.encoding.encoder import Statistics
    from ptmoe.generation.cell import check_positions
    from ptmoe.generation.decode import Decoder
    from ptmoe.generation.session import Session

    counts, limits = Statistics(), house.limits
    rows = adapter.encoder.encode(examples, False, counts)
    if counts.contexts_cut:
        say(f"{out}: {counts.contexts_cut} contexts cut to fit; --max-length sets how long a prompt may be")
    check_positions(max((row.prompt_length for row in rows), default=0), limits.max_new_tokens, adapter.model)
    decoder = Decoder(adapter.model, house.info, limits.max_new_tokens, limits.max_batch_tokens)
    about = {
        "base": house.info.fingerprint,
        "adapter": [sha256_of(path) for path in sorted(adapter.folder.iterdir()) if path.is_file()],
        "rows": hashlib.sha256(b"".join(row.input_ids.tobytes() for row in rows)).hexdigest(),
        "max_new_tokens": limits.max_new_tokens,
    }
    return Session(out.parent, out.stem, rows, decoder, about, house.accelerator)
