"""Answers the questions of a user's file with adapters, each in its own template."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.examples.example import Example
from ptmoe.examples.records import read_records
from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of, write_text
from ptmoe.runtime.progress import say
from ptmoe.serving.opened import Limits, open_house

if TYPE_CHECKING:
    from ptmoe.generation.session import Session
    from ptmoe.serving.opened import House, Opened

KEYS = ("id", "context", "question", "answers", "answer", "target", "group")


def predict_file(
    adapters: Mapping[str, Path],
    source: Path,
    out: Path,
    limits: Limits,
    base: str | None = None,
    trust_remote_code: bool = False,
) -> None:
    """Answers the questions of a JSONL file, one line per answer, in the order of the questions.

    The same command continues an interrupted run.

    Args:
        adapters: name -> adapter folder; with several, a line for each follows every question.
        source: lines in the format of own data; answers are optional and are copied.
        out: receives `id`, `adapter` (where there are several), `prediction`, `answers`, `expert`,
            `expert_probability`, `new_tokens` and `finished`.
        limits: of answers, prompts and batches.
        base: folder of the base model, if it is not where training found it.
        trust_remote_code: whether code that comes with the base model may run.

    Raises:
        DataError: a line is malformed, or a question is too long.
        AdapterError: an adapter is damaged, has no template, or does not fit the base model.
    """
    rows = list(read_questions(source))
    house = open_house(adapters, limits, base, trust_remote_code)
    sessions: list[Session] = []
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, adapter in house.adapters.items():
        session = _session([example for example, _ in rows], house, adapter, limits, out)
        found = session.answer(range(len(rows)))
        answers[name] = [found[number].shown(house.tokenizer) for number in range(len(rows))]
        sessions.append(session)
    lines = []
    for number, (example, given) in enumerate(rows):
        for name in answers:
            line = {"id": example.id} | ({"adapter": name} if len(answers) > 1 else {})
            line |= ({"answers": example.answers} if given else {}) | answers[name][number]
            lines.append(json.dumps(line, ensure_ascii=False))
    write_text(out, "".join(f"{line}\n" for line in lines))
    for session in sessions:
        session.remove()
    for name, shown in answers.items():
        experts = Counter(answer["expert"] for answer in shown if answer["expert"] is not None)
        chosen = "".join(f", expert {expert}: {count}" for expert, count in sorted(experts.items()))
        say(f"{out}: {len(rows)} answers{f' of {name}' if len(answers) > 1 else ''}{chosen}")


def read_questions(path: Path) -> Iterator[tuple[Example, bool]]:
    """Yields each question of a JSONL file, and whether it has answers; raises `DataError` at a malformed line."""
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


def _session(examples: list[Example], house: House, adapter: Opened, limits: Limits, out: Path) -> Session:
    """Prepares one adapter's answers; partial ones are kept beside the output."""
    from ptmoe.encoding.encoder import Statistics
    from ptmoe.generation.cell import check_positions
    from ptmoe.generation.decode import Decoder
    from ptmoe.generation.session import Session

    counts = Statistics()
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
