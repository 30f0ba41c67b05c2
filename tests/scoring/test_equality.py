"""Equality of two answers in normal form, and the bounds within which mathematics may decide."""

import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptmoe.metrics.math import score
from ptmoe.scoring import equality
from ptmoe.scoring.effort import Effort, EffortExceeded
from ptmoe.scoring.equality import equal
from ptmoe.scoring.normal_form import normal_form

# Each was scored the other way round when only the first number of an expression was compared.
ONCE_RIGHT = [
    (r"\sqrt{2}", "2"),
    ("2x+3", "2"),
    (r"2\pi", "2"),
    ("$(3, 7)$", "3"),
    ("3 < x < 5", "3"),
    ("5 or 9", "5"),
    ("12:30", "12"),
]
ONCE_WRONG = [
    ("12 + 5 = 17", "17"),
    ("20 - 15 = 5", "5"),
    ("f(y)+g(y) = y^4+2y^3-3y", "y^4+2y^3-3y"),
    ("12", r"12\text{ hours}"),
    ("C", r"\text{(C)}"),
    ("4210_5", "4210_{5}"),
    ("[-2,7]", r"x \in [-2,7]"),
    ("39 degrees", r"39^\circ"),
    ("- 5", "-5"),
    ("\u20135", "-5"),
    ("-\u20ac7.50", "-7.5"),
    ("1.5 \u00d7 10^3", "1500"),
    (r"\cfrac{3}{4}", "0.75"),
    ("(B)", "B"),
    (r"\boxed{3}, \boxed{5}", "3, 5"),
    (r"\boxed{18}, which stands in a \boxed{}", "18"),
    ("\u22125", "-5"),
    ("1 1/2", "1.5"),
    (r"\text{5 apples}", "5"),
    ("1.8333", "1.8333333333333335"),
]


@pytest.mark.parametrize(("stated", "gold"), ONCE_RIGHT)
def test_a_number_in_an_expression_is_not_the_expression(stated, gold):
    for rule in ("numeric", "latex"):
        assert score(f"The answer is: {stated}", [gold], rule) == {"accuracy": 0, "accuracy_strict": 0}
        assert score(f"It is {stated}", [gold], rule)["accuracy"] == 0


@pytest.mark.parametrize(("stated", "gold"), ONCE_WRONG)
def test_another_spelling_is_the_same_answer(stated, gold):
    assert score(f"The answer is: {stated}", [gold], "latex") == {"accuracy": 1, "accuracy_strict": 1}


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("10000", "10001", False),
        ("0.3333", "1/3", True),
        ("0.33", "1/3", False),
        ("(12,102)", "12102", False),
        ("Friday", "friday", True),
        ("(1,2)", "(2,1)", False),
        ("(1,2)", "[1,2]", False),
        ("1,2", "2,1", True),
        (r"\{1,2\}", "2,1", True),
        ("1,2,2", "1,1,2", False),
        ("1,000; 2,000", "2000; 1000", True),
        ("1,000; 2,000", "1; 0; 2; 0", False),
        ("1/2, 0.5", "0.5", True),
        ("1/2, 0.6", "0.5", False),
        (r"1 \pm \sqrt{2}", r"1 - \sqrt{2}, 1 + \sqrt{2}", True),
        ("52_{8}", "52", False),
        ("52_{8}", "52_{9}", False),
        (r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}", True),
        (r"3 < x \le 4", "(3,4]", True),
        ("x + y = 3", "3", False),
        ("x^{2}", "x^2", True),
        ("", "", False),
    ],
)
def test_equality(one, two, same):
    assert equal(normal_form(one), normal_form(two)) is same


def test_the_rule_for_numbers_works_nothing_out():
    assert score("The answer is: 9 * 2", ["18"], "numeric")["accuracy"] == 0
    assert score("The answer is: 9 * 2", ["18"], "latex")["accuracy"] == 1


texts = st.one_of(
    st.text(alphabet="0123456789.,/-+=xyab()[]{}^_ \\<>", max_size=12),
    st.lists(
        st.sampled_from(
            [r"\frac{1}{2}", r"\sqrt{2}", r"\pi", "x", "2", "+", "-", "^{2}", "(", ")", ",", "=", r"\le ", "!"]
        ),
        max_size=6,
    ).map("".join),
).map(normal_form)


@settings(max_examples=300, deadline=None)
@given(texts, texts)
def test_equality_is_reflexive_and_symmetric_and_never_raises(one, two):
    assert equal(one, one) is bool(one)
    assert equal(one, two) is equal(two, one)


@settings(max_examples=300, deadline=None)
@given(st.fractions(), st.fractions())
def test_fractions_in_latex_are_compared_as_numbers(one, two):
    left = rf"\frac{{{one.numerator}}}{{{one.denominator}}}"
    right = f"{two.numerator}/{two.denominator}"
    assert equal(normal_form(left), normal_form(right)) is equality.close(one, two)


# --- bounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9}}",
        "9^9^9",
        "9^{99999}",
        "((9999^{9999})^{9999})",
        "99999!",
        "(9!)!",
        r"\binom{99999}{5555}",
        "(" * 20 + "x" + ")" * 20,
        "x+" * 200 + "x",
        "2^" * 100 + "2",
        "((x)",
        "so many words stand here",
    ],
)
def test_mathematics_refuses_what_it_could_not_finish(text):
    effort = Effort(equality.CALLS)
    assert equal(text, "x^{2}+1", effort=effort) is False
    assert effort.calls_left == equality.CALLS


@pytest.mark.parametrize("text", [r"e^{x^{2}}", "2^{10}", "x^{8} + x^{7}", "(x+1)^{5}", r"\frac{\sqrt{3}}{3}", "10!"])
def test_mathematics_accepts_common_answers(text):
    assert equality._is_bounded(text)


def test_work_over_the_limit_makes_answers_differ_and_stops():
    one, two = r"\frac{1}{x} + \frac{1}{y}", r"\frac{x+y}{xy}"
    assert equal(one, two)
    few = Effort(100)
    assert not equal(one, two, effort=few)
    assert few.calls_left < 0
    assert sys.getprofile() is None


def test_calls_are_counted_in_the_thread_that_asks():
    def loop():
        with effort.counted():
            while True:
                str.upper("a"), (lambda: None)()

    def run():
        try:
            loop()
        except EffortExceeded:
            stopped.append(True)

    effort, stopped = Effort(1000), []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=60)
    assert stopped == [True]


def test_mathematics_decides_in_threads_as_in_the_main_thread():
    pairs = [(r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}"), ("(a+1)(a-1)", "a^{2}-1"), (r"\sqrt{8}", r"2\sqrt{3}")] * 2
    found: dict[int, bool] = {}
    threads = [
        threading.Thread(target=lambda place=place, pair=pair: found.update({place: equal(*pair)}))
        for place, pair in enumerate(pairs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert [found[place] for place in range(len(pairs))] == [True, True, False] * 2


def test_plain_answers_do_not_import_sympy(project_root):
    program = """
import sys
from ptmoe.metrics.math import score
assert score("The answer is: $1,234.50", ["1234.5"], "latex")["accuracy"] == 1
assert score("The answer is: 17", ["18"], "latex")["accuracy"] == 0
assert score("So (B)", ["B"], "numeric")["accuracy"] == 0
assert score("The answer is: (3, 7)", ["(3, 7)"], "latex")["accuracy"] == 1
print(sorted(name for name in ("sympy", "math_verify", "torch", "numpy") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=project_root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
