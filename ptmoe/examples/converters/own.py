"""The user's own data, and the mini data: JSONL with one question a line.

    {"question": "Who wrote it?", "context": "Ann wrote it.", "answers": ["Ann"]}

Keys: question, answers (a list) or answer, and where wanted id, context, target, group. A bad line is an error, because
no faults are known and accepted in a user's file.
"""

from __future__ import annotations

from ptmoe.examples.converters.forms import each, form
from ptmoe.examples.example import Example
from ptmoe.examples.records import Record
from ptmoe.examples.text import digest, normalised, one_line

_KEYS = ("id", "context", "question", "answers", "answer", "target", "group")


def _answers(record: Record) -> list[str]:
    if ("answers" in record.values) == ("answer" in record.values):
        record.refuse("give either 'answers' (a list of strings) or 'answer'")
    answers = record.texts("answers") if "answers" in record.values else [record.number("answer")]
    if not any(answers):
        record.refuse("no answer; a question needs at least one")
    return answers


def own(record: Record, dataset: str) -> Example:
    """Converts a line; `target` is the first answer unless given, `group` the context or else the question."""
    for key in record.values:
        if key not in _KEYS:
            record.refuse(f"unknown key {key!r}; allowed: {', '.join(_KEYS)}")
    question, context = record.text("question"), record.text("context", "")
    if not question:
        record.refuse("'question' is empty")
    answers = _answers(record)
    return Example(
        id=record.number("id") if record.values.get("id") is not None else digest(question, context),
        dataset=dataset,
        question=question,
        context=context,
        answers=answers,
        target=record.text("target", "") or answers[0],
        group=digest(record.text("group", "") or one_line(context) or normalised(question)),
    )


# No key tells this form: a first line without a question is to be refused like any other line.
OWN = (form("", each(own)),)
