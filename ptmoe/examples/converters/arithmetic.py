r"""Word problems with a number for an answer: GSM8K, MetaMathQA, SVAMP, MAWPS and ASDiv, each in its public forms.

GSM8K   {"question": "...", "answer": "48/2 = <<48/2=24>>24 ...\n#### 72"}
MetaMath {"type": "GSM_FOBAR", "query": "...", "original_question": "...", "response": "...\nThe answer is: 7"}
SVAMP   {"ID": "chal-1", "Body": "...", "Question": "...", "Answer": 51.0, "Type": "Subtraction"}
MAWPS   {"iIndex": 1, "sQuestion": "...", "lEquations": ["X=(70.0-27.0)"], "lSolutions": [43.0]}
ASDiv   <Problem ID="nluds-0001"><Body>..</Body><Question>..</Question><Answer>9 (apples)</Answer></Problem>
"""

from __future__ import annotations

import re

from ptmoe.examples.converters.forms import Convert, Made, Unusable, each, form
from ptmoe.examples.example import Example
from ptmoe.examples.records import Record
from ptmoe.examples.text import digest, normalised

MARKER = "The answer is:"
_GOLD = "####"
_CALCULATOR = re.compile(r"<<.*?>>")
_NUMBER = re.compile(r"-?(\d[\d,]*(\.\d+)?|\.\d+)")
_UNIT = re.compile(r"\s*\([^()]*\)\s*$")
_PLACEHOLDER = re.compile(r"\bN_(\d+)\b")
# The second spelling is that of one training row (chal-967).
_SVAMP_TYPES = {"Common-Division": "Division", "Common-Divison": "Division"}


def problem(dataset: str, question: str, answer: str, id: str = "", target: str = "", original: str = "") -> Made:
    """Makes the example of a word problem, whose group is its original question."""
    if not question or not answer:
        return Unusable("empty question" if answer else "no answers", dataset)
    group = digest(normalised(original or question))
    return Example(id or digest(question), dataset, question, "", [answer], target, group)


def plain_number(text: str) -> str:
    """Writes a number without thousands commas and without a fraction of zero; other text stays."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return text
    whole, _, fraction = text.replace(",", "").partition(".")
    return whole if not fraction.strip("0") and whole.strip("-") else text.replace(",", "")


def gsm8k(record: Record, dataset: str) -> Made:
    """Converts GSM8K's form; the target ends like MetaMath's, because the prompt asks for that ending."""
    question, solution = record.text("question"), record.number("answer")
    steps, found, gold = solution.rpartition(_GOLD)
    answer = plain_number(gold)
    if not found and not _NUMBER.fullmatch(answer):
        return Unusable(f"no {_GOLD} before the answer", dataset)
    worked = f"{_CALCULATOR.sub('', steps).strip()}\n{_GOLD} {answer}\n".lstrip("\n") if found else ""
    return problem(dataset, question, answer, target=f"{worked}{MARKER} {answer}")


def metamath(record: Record, dataset: str) -> Made:
    """Converts MetaMathQA; the response is the target as it is, `####` line included. Its MATH rows are not used."""
    if not record.text("type", "GSM_").startswith("GSM_"):
        return Unusable("not augmented from GSM8K", dataset, selected_out=True)
    response = record.text("response")
    answer = plain_number(response.rpartition(MARKER)[2]) if MARKER in response else ""
    if not answer:
        return Unusable(f"no answer after '{MARKER}'", dataset)
    question, original = record.text("query"), record.text("original_question")
    return problem(dataset, question, answer, digest(question, response), response, original)


def svamp(record: Record, dataset: str) -> Made:
    """Converts SVAMP; each type of problem is a part of its own, as in the paper's table 4."""
    kind = record.text("Type")
    body, question = record.text("Body"), record.text("Question")
    # A third of the bodies lack their full stop.
    stop = "" if body.endswith((".", "?", "!", ",")) else "."
    joined = record.text("question_concat", "") or f"{body}{stop} {question}"
    name = f"SVAMP/{_SVAMP_TYPES.get(kind, kind)}"
    return problem(name, joined, plain_number(record.number("Answer")), record.text("ID"))


def with_placeholders(record: Record, dataset: str) -> Made:
    """Converts mwpt5/MAWPS, where `N_00` in the question is a placeholder for the first of `Numbers`."""
    numbers = record.number("Numbers").split()

    def value(found: re.Match[str]) -> str:
        place = int(found[1])
        return plain_number(numbers[place]) if place < len(numbers) else record.refuse(f"no number for {found[0]}")

    question = _PLACEHOLDER.sub(value, record.text("Question"))
    return problem(dataset, question, plain_number(record.number("Answer")))


def asdiv_problem(record: Record, dataset: str) -> Made:
    """Converts a problem of ASDiv.xml; only those with one number for an answer can be scored as numbers."""
    answer = record.text("Answer")
    if ";" in answer:
        return Unusable("several answers", dataset)
    answer = _UNIT.sub("", answer)
    if not _NUMBER.fullmatch(answer):
        return Unusable("answer is not a plain number", dataset)
    question = f"{record.text('Body', '')} {record.text('Question')}".strip()
    return problem(dataset, question, plain_number(answer), record.text("ID"))


def asdiv_text(record: Record, dataset: str) -> Made:
    """Converts yimingzhang/asdiv, whose text has a prompt around it and whose label has calculator marks."""
    question = record.text("text").removeprefix("Question:").removesuffix("Answer:").strip()
    label = record.text("label", "") or record.text("target", "")
    return problem(dataset, question, plain_number(label.rpartition(">>")[2]))


def _renamed(question: str, answer: str) -> Convert:
    """Makes a conversion of records whose answer is a number or a list of one."""

    def convert(record: Record, dataset: str) -> Made:
        values = record.values.get(answer)
        if isinstance(values, list):
            if len(values) != 1:
                return Unusable("several answers" if values else "no answers", dataset)
            record = Record(record.values | {answer: values[0]}, record.where)
        return problem(dataset, record.text(question), plain_number(record.number(answer)))

    return each(convert)


GSM8K = (form("question answer", each(gsm8k)),)
METAMATH = (form("query original_question response", each(metamath), "type"),)
SVAMP = (form("ID Body Question Answer Type", each(svamp), "question_concat"),)
MAWPS = (
    form("question answer", each(gsm8k)),
    form("Question Numbers Answer", each(with_placeholders)),
    form("instruction answer", _renamed("instruction", "answer")),
    form("original_text ans", _renamed("original_text", "ans")),
    form("sQuestion lSolutions", _renamed("sQuestion", "lSolutions")),
)
ASDIV = (
    form("ID Question Answer", each(asdiv_problem), "Body"),
    form("text label", each(asdiv_text), "target"),
    form("text target", each(asdiv_text), "label"),
)
