"""What a model's output is taken to answer: cases written by hand, every gold answer of MATH-500, and hostile texts."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ptmoe.metrics.math import score
from ptmoe.scoring.effort import Effort
from ptmoe.scoring.final_answer import boxed, final_answer, stated
from ptmoe.scoring.line_value import value_in
from ptmoe.scoring.normal_form import LONGEST, normal_form
from ptmoe.scoring.readings import gold_readings, readings
from tests.scoring.restated_rules import math_equivalent

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases" / "final_answers.jsonl").read_text(encoding="utf-8").splitlines()
]
KINDS = list(dict.fromkeys(case["kind"] for case in CASES))


def test_the_cases_are_many_of_many_kinds_and_half_of_the_kinds_hold_wrong_answers():
    assert len({(case["prediction"], case["gold"], case.get("rule")) for case in CASES}) == len(CASES) >= 400
    right = Counter(case["kind"] for case in CASES if case["correct"])
    wrong = Counter(case["kind"] for case in CASES if not case["correct"])
    assert len(KINDS) >= 20
    assert len(wrong) > len(KINDS) / 2
    assert right.total() > 300
    assert wrong.total() > 150


@pytest.mark.parametrize("kind", KINDS)
def test_cases(kind):
    failed = []
    for case in CASES:
        if case["kind"] == kind:
            scores = score(case["prediction"], [case["gold"]], case.get("rule", "latex"))
            if scores != {"accuracy": float(case["correct"]), "accuracy_strict": float(case["strict"])}:
                failed.append((case, scores))
    assert not failed


def test_what_the_published_equivalence_of_math_accepts_is_never_refused():
    """MATH's own rule compares texts after some rewriting: stricter, so it agrees wherever it says yes."""
    both = Counter()
    for case in CASES:
        answer = final_answer(case["prediction"], strict=False)
        if case.get("id", "").startswith("math500") and "rule" not in case and answer:
            both[math_equivalent(answer[-1].strip("$ ."), case["gold"]), case["correct"]] += 1
    assert both[True, False] == 0
    assert both[True, True] > 100


def gold_answers(real_data) -> dict[str, str]:
    found = {}
    for line in (real_data / "math" / "math500_test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[f"math500/{row['unique_id']}"] = row["answer"]
    for place, line in enumerate((real_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()):
        found[f"gsm8k/test/{place}"] = json.loads(line)["answer"].rpartition("#### ")[2]
    for row in json.loads((real_data / "svamp" / "SVAMP.json").read_text(encoding="utf-8")):
        found[f"svamp/{row['ID']}"] = f"{row['Answer']:.12g}"
    for place, row in enumerate(json.loads((real_data / "mawps" / "llm_adapters_test.json").read_text())):
        found[f"mawps/llm_adapters_test/{place}"] = str(row["answer"])
    for problem in ElementTree.parse(real_data / "asdiv" / "ASDiv.xml").iter("Problem"):
        found[f"asdiv/{problem.get('ID')}"] = problem.findtext("Answer", "")
    return found


def test_gold_answers_of_the_cases_are_the_real_ones(real_data):
    golds = gold_answers(real_data)
    named = [case for case in CASES if "id" in case]
    assert [(case["id"], case["gold"]) for case in named] == [(case["id"], golds[case["id"]]) for case in named]
    assert len({case["id"].split("/")[0] for case in named}) == 5


FORMS = [
    "%s",
    r"\boxed{%s}",
    "The answer is: %s",
    "**%s**",
    "$$%s$$",
    "The answer is \\(%s\\).",
    "The answer is: $%s$.",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_gold_answer_of_math_500_equals_itself_in_every_form(form, real_data):
    golds = [gold for name, gold in gold_answers(real_data).items() if name.startswith("math500/")]
    assert len(golds) == 500
    assert [gold for gold in golds if score(form % gold, [gold], "latex")["accuracy"] == 0] == []


def test_every_solution_of_math_500_states_its_gold_answer(real_data):
    rows = [json.loads(line) for line in (real_data / "math" / "math500_test.jsonl").read_text().splitlines()]
    assert [row["unique_id"] for row in rows if not score(row["solution"], [row["answer"]], "latex")["accuracy"]] == []


def test_every_solution_of_gsm8k_states_its_gold_answer(real_data):
    rows = [json.loads(line)["answer"] for line in (real_data / "gsm8k" / "test.jsonl").read_text().splitlines()]
    assert len(rows) == 1319
    assert [text for text in rows if score(text, [text.rpartition("#### ")[2]], "numeric")["accuracy"] == 0] == []


# --- the grammar, piece by piece -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{\frac{1}{2}} and more", r"\frac{1}{2}"),
        (r"\boxed{1}, then \boxed{2}", "2"),
        (r"\boxed{1} and $y = \boxed{2}$", "1; 2"),
        (r"\boxed{5}, written in \boxed{}", "5"),
        (r"\boxed{\boxed{5}}", r"\boxed{5}"),
        (r"\boxed{5", "5"),
        ("none", None),
        (r"\boxed{}", None),
    ],
)
def test_boxes(text, inside):
    assert boxed(text) == inside


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        (" 18 \nmore", "18"),
        ("\n\n18\nmore", "18"),
        ("\n$$\nx =\n 18\n$$\nmore", "x = 18"),
        ("** 18", "18"),
        ("\n* 1\n* 2\nmore", "1; 2"),
        ("\n- 5\n", "- 5"),
        ("\\begin{pmatrix}\n1 \\\\ 2\n\\end{pmatrix}^2 is\nmore", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}^2 is"),
        ("", ""),
    ],
)
def test_statements(text, statement):
    assert stated(text) == statement


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("so she has 18 apples left", "18"),
        ("18 (since 9 + 9 = 18)", "18"),
        ("the function is $x^2 + 1$ for all x", "x^2 + 1"),
        ("5 or 9", "5; 9"),
        ("3, 5, and 7", "3, 5; 7"),
        ("2 to 3", "2:3"),
        ("minus 5 degrees", "-5"),
        ("(about 5)", "5"),
        ("a total of 18. The rest is 5", "18"),
        ("not 5 but 6", "6"),
        ("5 grams of H2O and CO2", "5"),
        ("Friday", "Friday"),
        ("(B) 12", "(B) 12"),
        ("", ""),
    ],
)
def test_the_value_of_a_line(line, value):
    assert value_in(line) == value


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("\u2212 5", "-5"),
        ("\\dfrac12", "\\frac{1}{2}"),
        ("\\left( 3, 4 \\right]", "( 3, 4 ]"),
        ("15\\mbox{ cm}^2", "15"),
        ("4210_5", "4210_{5}"),
        ("x\u00b2", "x^{2}"),
        ("1\u00bd", "1\\frac{1}{2}"),
        ("(5)", "5"),
        ("1.5 \u00d7 10\u00b3", "1.5e3"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ],
)
def test_normal_forms(text, normal):
    assert normal_form(text) == normal


def test_readings_of_an_equation_follow_the_gold_answer():
    assert readings(("12 + 5 = 17",), "17") == ["12 + 5 = 17", "17"]
    assert readings(("2x = 5",), "x = 5") == ["2x = 5"]
    assert readings(("y = 5",), "x = 5") == ["y = 5", "5"]
    assert gold_readings("y = 2x + 3") == ["y = 2x + 3", "2x + 3"]
    assert gold_readings("x + y = 3") == ["x + y = 3"]


def test_strict_is_the_marker_alone():
    for output in ("\\boxed{18}", "#### 18", "The answer is 18", "the answer is: 18", "18", ""):
        assert final_answer(output, strict=True) == ()
    assert final_answer("The answer is: 18", strict=True) == final_answer("The answer is: 18", strict=False) == ("18",)


# --- hostile texts -------------------------------------------------------------------------------------------------

MILLION = 10**6
HOSTILE = [
    "The answer is:" + " " * 50_000 + "5",
    "The answer is: 5" + " " * 50_000 + "apples",
    "a" * 10 * MILLION,
    "1 " * 5 * MILLION,
    "The answer is: " + "1 " * 5 * MILLION,
    "\n" * 10 * MILLION,
    "The answer is: " + "{" * 5 * MILLION + "}" * 5 * MILLION,
    "\\boxed{" * MILLION + "}" * MILLION,
    "answer is " * MILLION,
    "answer " * MILLION,
    "$" * 10 * MILLION,
    "$a " * 3 * MILLION,
    "\\(" * 5 * MILLION,
    "\\text{" * MILLION,
    "The answer is: " + "(" * 400 + "x" + ")" * 400,
    "#" * 10 * MILLION,
    "\u2212" * 5 * MILLION,
    "\u00bd" * 3 * MILLION,
    "The answer is:" + "\n* a" * 2 * MILLION,
    "** " * 3 * MILLION,
    "The answer is: " + "1," * MILLION,
    "9" * 10 * MILLION,
]


@pytest.mark.parametrize("output", HOSTILE, ids=lambda text: re.sub(r"\W+", " ", text[:24]))
def test_the_work_on_a_hostile_text_is_bounded(output):
    effort = Effort(30_000)
    with effort.counted():
        texts = final_answer(output, strict=False)
        found = readings(texts, "5")
    assert all(len(text) <= 4 * LONGEST for text in texts)
    assert all(len(reading) <= 2 * LONGEST for reading in found)


PIECES = r"The_answer_is: \boxed{ } { #### $ ** \( \) \[ \] 5 x = - ( ) [ , \frac \text{ apples or and ^ \pm B . \ "
pieces = st.lists(
    st.sampled_from([" ", "\n", "_", "\u00bd", "\u0665", *PIECES.split()]),
    max_size=14,
).map(lambda found: "".join(found).replace("The_answer_is:", "The answer is:"))


@settings(max_examples=400, deadline=None)
@given(pieces, pieces)
def test_nothing_raises_and_strict_implies_flexible(output, gold):
    strict, flexible = final_answer(output, strict=True), final_answer(output, strict=False)
    assert not strict or strict == flexible
    scores = score(output, [gold], "numeric")
    assert scores["accuracy_strict"] <= scores["accuracy"]


@settings(max_examples=200, deadline=None)
@given(pieces)
def test_a_normal_form_is_its_own_normal_form(text):
    assume("\\frac$" not in text)  # no LaTeX: the sign between command and argument is taken for currency
    assert normal_form(normal_form(text)) == normal_form(text)
