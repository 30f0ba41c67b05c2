r"""Reading comprehension: MRQA as its owners publish it, MRQA on the Hub, and SQuAD v1.

MRQA file (a header line, which some files lack, then a passage a line):

    {"header": {"dataset": "SQuAD", "split": "train"}}
    {"context": "...", "qas": [{"qid": "43e5..", "question": "...", "answers": ["1998"],
                                "detected_answers": [{"text": "1998", "char_spans": [[4, 7]]}]}]}

Targets are the text of the first detected answer, never a slice of the context: on the Hub the context lost its
outer white space while the spans did not move. Gold answers are `answers`, as the official script scores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ptmoe.examples.converters.forms import Made, Unusable, each, form
from ptmoe.examples.example import Example
from ptmoe.examples.records import Record
from ptmoe.examples.text import digest, one_line

# The names of the paper's tables for those of the files.
_NAMES = {
    "TriviaQA-web": "TriviaQA",
    "NaturalQuestionsShort": "NaturalQuestions",
    "DuoRC.ParaphraseRC": "DuoRC",
}
# Appended to every question of one public sample of MRQA; no part of the question.
_MASK = " [MASK]."


def _made(id: str, dataset: str, question: str, context: str, answers: list[str], target: str) -> Made:
    question = question.removesuffix(_MASK).rstrip()
    missing = {"empty question": question, "empty context": context, "no answers": answers}
    for reason, value in missing.items():
        if not value:
            return Unusable(reason, dataset)
    group = digest(one_line(context))
    return Example(id or digest(question, context), dataset, question, context, answers, target, group)


def _unasked(dataset: str) -> Unusable:
    return Unusable("passages without a question", dataset, selected_out=True)


def _first_text(record: Record) -> str:
    """Returns the first detected answer: a list of objects in the files, an object of lists on the Hub."""
    detected = record.values.get("detected_answers")
    if isinstance(detected, dict):
        texts = Record(detected, record.where).texts("text")
    else:
        texts = [found.text("text") for found in record.children("detected_answers")] if detected else []
    return next(filter(None, texts), "")


def passages(records: Iterable[Record], dataset: str) -> Iterator[Made]:
    """Converts an MRQA file, whose header names the data set."""
    for record in records:
        if "header" in record.values:
            name = Record(record.get("header", dict), record.where).text("dataset")
            dataset = _NAMES.get(name, name)
            if not record.values.keys() & {"context", "qas"}:
                continue
        context = record.text("context")
        if record.values.get("qas") == []:
            yield _unasked(dataset)
        for asked in record.children("qas"):
            question, answers = asked.text("question"), asked.texts("answers")
            yield _made(asked.text("qid", ""), dataset, question, context, answers, _first_text(asked))


def hub_row(record: Record, dataset: str) -> Made:
    """Converts a row of `mrqa-workshop/mrqa`, whose `subset` is the header's name."""
    name = record.text("subset")
    question, context, answers = record.text("question"), record.text("context"), record.texts("answers")
    return _made(record.text("qid"), _NAMES.get(name, name), question, context, answers, _first_text(record))


def squad(records: Iterable[Record], dataset: str) -> Iterator[Made]:
    """Converts SQuAD's own JSON: articles, paragraphs, questions."""
    for record in records:
        for article in record.children("data"):
            for paragraph in article.children("paragraphs"):
                context = paragraph.text("context")
                if paragraph.values.get("qas") == []:
                    yield _unasked(dataset)
                for asked in paragraph.children("qas"):
                    answers = [text for answer in asked.children("answers") if (text := answer.text("text"))]
                    question, target = asked.text("question"), next(iter(answers), "")
                    yield _made(asked.text("id"), dataset, question, context, answers, target)


READING = (
    form("header", passages),
    form("context qas", passages),
    form("subset context question qid answers detected_answers", each(hub_row)),
    form("data", squad),
)
