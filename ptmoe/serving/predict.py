"""Answers the questions of a user's file with an adapter, in the adapter's own template."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ptmoe.base.compute import make_accelerator, prepare_torch_for
from ptmoe.config.params import TemplateParams
from ptmoe.examples.example import Example
from ptmoe.examples.records import read_records
from ptmoe.runtime.errors import AdapterError, DataError
from ptmoe.runtime.files import sha256_of, write_text
from ptmoe.runtime.progress import say
from ptmoe.tuning.adapters import AdapterConfig, base_of, read_adapter_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptmoe.base.model import BaseInfo
    from ptmoe.generation.session import Session

KEYS = ("id", "context", "question", "answers", "answer", "target", "group")
UNLIMITED_POSITIONS = 8192


@dataclass(frozen=True)
class Limits:
    """Tokens of an answer, of a prompt (None: all that the base reads), and of all rows decoded at once."""

    max_new_tokens: int
    max_length: int | None
    max_batch_tokens: int


def predict_file(
    adapter: Path, source: Path, out: Path, limits: Limits, base: str | None = None, trust_remote_code: bool = False
) -> None:
    """Answers the questions of a JSONL file, one line per answer, in the order of the questions.

    The same command continues an interrupted run.

    Args:
        adapter: an adapter folder.
        source: lines in the format of own data; answers are optional and are copied.
        out: receives `id`, `prediction`, `answers`, `expert`, `expert_probability`, `new_tokens` and `finished`.
        base: folder of the base model, if it is not where training found it.
        trust_remote_code: whether code that comes with the base model may run.

    Raises:
        DataError: a line is malformed, or a question is too long.
        AdapterError: the adapter is damaged, has no template, or does not fit the base model.
    """
    rows = list(_read(source))
    config = read_adapter_config(adapter)
    template = _template_of(config, adapter)
    info = base_of(config, base, trust_remote_code)
    prepare_torch_for(info.parameters)
    session, tokenizer = _open([example for example, _ in rows], info, adapter, template, limits, out)
    found = session.answer(range(len(rows)))
    answers = [found[number].shown(tokenizer) for number in range(len(rows))]
    lines = [
        json.dumps({"id": example.id, **({"answers": example.answers} if given else {}), **answer}, ensure_ascii=False)
        for (example, given), answer in zip(rows, answers, strict=True)
    ]
    write_text(out, "".join(f"{line}\n" for line in lines))
    session.remove()
    experts = Counter(answer["expert"] for answer in answers if answer["expert"] is not None)
    chosen = "".join(f", expert {expert}: {count}" for expert, count in sorted(experts.items()))
    say(f"{out}: {len(rows)} answers{chosen}")


def _read(path: Path) -> Iterator[tuple[Example, bool]]:
    """Yields each question, and whether it has answers."""
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


def _template_of(config: AdapterConfig, adapter: Path) -> TemplateParams:
    try:
        return TemplateParams(**config.template)
    except (ValidationError, TypeError):
        raise AdapterError(
            f"{adapter} holds no usable template; save it with note={{'template': ...}} (instruction, input, cue)"
        ) from None


def _open(
    examples: list[Example], info: BaseInfo, adapter: Path, template: TemplateParams, limits: Limits, out: Path
) -> tuple[Session, PreTrainedTokenizerBase]:
    """Loads what answers the questions; partial answers are kept beside the output."""
    from ptmoe.base.model import base_tokenizer
    from ptmoe.encoding.encoder import PromptEncoder, Statistics
    from ptmoe.generation.cell import check_positions
    from ptmoe.generation.decode import Decoder
    from ptmoe.generation.session import Session
    from ptmoe.tuning.opening import open_adapter

    accelerator = make_accelerator()
    model, tokenizer = open_adapter(adapter, info, accelerator.device), base_tokenizer(info)
    positions = model.method.geometry.max_positions or UNLIMITED_POSITIONS
    room = positions - model.method.prompt_length - limits.max_new_tokens
    encoder = PromptEncoder(tokenizer, template, limits.max_length or room, info.eos_token_ids)
    rows = encoder.encode(examples, False, Statistics())
    check_positions(max((row.prompt_length for row in rows), default=0), limits.max_new_tokens, model)
    decoder = Decoder(model, info, limits.max_new_tokens, limits.max_batch_tokens)
    about = {
        "base": info.fingerprint,
        "adapter": [sha256_of(path) for path in sorted(adapter.iterdir()) if path.is_file()],
        "rows": hashlib.sha256(b"".join(row.input_ids.tobytes() for row in rows)).hexdigest(),
        "max_new_tokens": limits.max_new_tokens,
    }
    return Session(out.parent, out.stem, rows, decoder, about, accelerator), tokenizer
