r"""Competition problems, whose answer is LaTeX: MATH and collections made from it.

{"problem": "...", "level": "Level 3", "type": "Algebra", "solution": "... Thus the answer is $\boxed{5}$."}
"""

from __future__ import annotations

from ptmoe.examples.converters.arithmetic import problem
from ptmoe.examples.converters.forms import Convert, Made, Unusable, each, form
from ptmoe.examples.records import Record

_BOX = "\\boxed"


def boxed(solution: str) -> str:
    r"""Returns what the last `\boxed{..}` (or `\boxed 5`) of a solution holds; empty where there is none."""
    _, found, rest = solution.rpartition(_BOX)
    if not found:
        return ""
    rest = rest.lstrip()
    if not rest.startswith("{"):
        return rest.split("$")[0].split()[0] if rest else ""
    depth = 0
    for place, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[1:place].strip()
    return ""


def _convert(question: str, answer: str) -> Convert:
    def convert(record: Record, dataset: str) -> Made:
        text = record.number(answer)
        gold = boxed(text) if _BOX in text or answer == "solution" else text
        if not gold:
            return Unusable("no boxed answer", dataset)
        return problem(dataset, record.text(question), gold)

    return each(convert)


COMPETITION = tuple(
    form(f"{question} {answer}", _convert(question, answer))
    for question in ("problem", "question")
    for answer in ("solution", "answer")
)
