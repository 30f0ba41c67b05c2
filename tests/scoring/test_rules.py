"""What must hold for every text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptmoe.metrics.math import score as score_math
from ptmoe.metrics.qa import score as score_qa
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.averages import average, weights
from ptmoe.scoring.registry import load_metric

texts = st.text(alphabet=st.sampled_from("aAthe n.,'\u00e9\u0301123/-$\\{}= \nx"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_qa_scores_are_bounded_and_a_further_answer_never_hurts(prediction, answers):
    one, all_ = score_qa(prediction, answers[:1], "mrqa"), score_qa(prediction, answers, "mrqa")
    assert 0 <= one["em"] <= all_["em"] <= 1
    assert 0 <= one["f1"] <= all_["f1"] <= 1


@settings(max_examples=300, deadline=None)
@given(texts, texts, st.booleans())
def test_math_strict_implies_flexible_and_nothing_raises(prediction, answer, marked):
    marker = "The answer is: " if marked else ""
    scores = score_math(marker + prediction, [answer], "numeric")
    assert scores["accuracy_strict"] <= scores["accuracy"]
    assert set(score_math(marker + prediction, [answer], "metamath").values()) <= {0.0, 1.0}


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**12), 10**12))
def test_every_integer_is_read_with_and_without_thousands(number):
    for shown in (f"{number}", f"{number:,}", f"${number:,}$", f"[{number}]."):
        assert score_math(f"So. The answer is: {shown}", [str(number)], "numeric")["accuracy_strict"] == 1
        assert score_math(f"So. The answer is: {shown}", [str(number + 1)], "numeric")["accuracy"] == 0


def test_a_missing_prediction_scores_zero_and_no_gold_answer_is_an_error():
    assert load_metric("qa").score_one(None, ["x"], "mrqa") == {"em": 0, "f1": 0}
    with pytest.raises(ScoringError, match="no gold answer"):
        load_metric("qa").score_one("x", [], "mrqa")
    with pytest.raises(ScoringError, match="numeric, latex, metamath"):
        load_metric("math").score_one("x", ["x"], "mrqa")


def test_parts_of_a_data_set_share_its_weight():
    shares = weights(["GSM8K", "SVAMP/Addition", "SVAMP/Division", "ASDIV"])
    assert shares == {"GSM8K": 1 / 3, "SVAMP/Addition": 1 / 6, "SVAMP/Division": 1 / 6, "ASDIV": 1 / 3}


def test_average_of_table_4():
    """FT: SVAMP is the mean of its four types, and the average that of five data sets (paper, table 4)."""
    types = {"SVAMP/Sub": 68.75, "SVAMP/Add": 64.40, "SVAMP/Div": 62.50, "SVAMP/Mul": 48.48}
    assert average(types) == pytest.approx(61.03, abs=0.005)
    whole = {"GSM8K": 58.15, **types, "ASDIV": 86.04, "MAWPS": 82.53, "MP500": 30.60}
    assert average(whole) == pytest.approx(63.67, abs=0.005)
