import math

import pytest

from ptmoe.statistics.routing import summarise


def test_even_and_informative_routing_by_hand():
    summary = summarise([0, 0, 1, 1], [0.9, 0.7, 0.6, 1.0], ["A", "A", "B", "B"])
    assert summary.utilisation.tolist() == [0.5, 0.5]
    assert (summary.entropy, summary.mutual_information) == (pytest.approx(1), pytest.approx(1))
    assert summary.by_dataset.tolist() == [[1, 0], [0, 1]]
    assert summary.mean_gate == pytest.approx(0.8) and summary.gate_histogram.sum() == 4
    assert not summary.collapsed


def test_choice_that_ignores_the_data_set_carries_no_information():
    summary = summarise([0, 1, 0, 1], [0.5] * 4, ["A", "A", "B", "B"], order=["B", "A"])
    assert summary.mutual_information == pytest.approx(0, abs=1e-12)
    assert summary.datasets == ["B", "A"]


def test_entropy_of_an_uneven_router():
    summary = summarise([0, 0, 0, 1], [0.5] * 4, ["A"] * 4)
    assert summary.entropy == pytest.approx(-(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)))


def test_collapse_is_said_also_when_the_other_expert_is_never_seen():
    summary = summarise([1] * 200, [0.99] * 200, ["A"] * 200, num_experts=2)
    assert summary.collapsed and summary.entropy == 0 and summary.num_experts == 2
    assert not summarise([0] * 9, [1.0] * 9, ["A"] * 9, num_experts=1).collapsed


def test_no_router_and_missing_gates():
    assert summarise([None, None], [None, None], ["A", "A"]) is None
    summary = summarise([0, None, 1], [None, None, float("nan")], ["A", "A", "B"])
    assert math.isnan(summary.mean_gate) and summary.gate_histogram.size == 0
    assert summary.utilisation.tolist() == [0.5, 0.5]
