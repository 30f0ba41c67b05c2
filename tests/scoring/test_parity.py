"""Parity with the official rules on cases whose expected values came from running the official scripts.

MRQA: mrqa/MRQA-Shared-Task-2019 59ed9b1, mrqa_official_eval.py. MetaMath: meta-math/MetaMath 913a0b2, eval_gsm8k.py
(`official_stops`: that script ends with an error). numeric.jsonl was written by hand.
"""

import json
from pathlib import Path

import pytest

from ptmoe.metrics import math
from ptmoe.metrics.qa import score as score_qa
from ptmoe.scoring.metamath import metamath_correct, metamath_extract
from tests.scoring import restated_rules

CASES = Path(__file__).parent / "cases"


def read(name):
    return [json.loads(line) for line in (CASES / name).read_text().splitlines()]


def test_at_least_a_thousand_cases_of_each_official_rule():
    for name in ("mrqa.jsonl", "metamath.jsonl"):
        assert len({json.dumps(case) for case in read(name)}) >= 1000


def test_mrqa_scores_are_the_official_scores():
    for case in read("mrqa.jsonl"):
        assert score_qa(case["prediction"], case["answers"], "mrqa") == {"em": case["em"], "f1": case["f1"]}, case


def test_restated_mrqa_rule_agrees():
    for case in read("mrqa.jsonl"):
        assert restated_rules.em(case["prediction"], case["answers"]) == case["em"], case
        assert restated_rules.f1(case["prediction"], case["answers"]) == pytest.approx(case["f1"], abs=1e-12), case


def test_metamath_scores_are_the_official_scores():
    for case in read("metamath.jsonl"):
        assert metamath_extract(case["prediction"]) == case["extracted"], case
        assert metamath_correct(case["prediction"], case["answer"]) == case["correct"], case


def test_restated_metamath_rule_agrees():
    for case in read("metamath.jsonl"):
        assert restated_rules.metamath(case["prediction"]) == case["extracted"], case


def test_numeric_rule_on_cases_written_by_hand():
    for case in read("numeric.jsonl"):
        scores = math.score(case["prediction"], [case["answer"]], "numeric")
        assert scores == {"accuracy": case["accuracy"], "accuracy_strict": case["accuracy_strict"]}, case
