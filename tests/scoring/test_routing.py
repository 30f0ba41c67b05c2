import math

import pytest
from sklearn.metrics import adjusted_mutual_info_score

from ptmoe.statistics.routing import kinds_of, summarise


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


def test_a_kind_is_a_training_set_and_its_variants_or_the_test_set_itself():
    sets = ["people", "people_far", "places/long", "peoples"]
    assert kinds_of(sets, ["people"]) == {name: name for name in sets}
    assert kinds_of(sets, ["people", "places"]) == {"people": "people", "people_far": "people", "places/long": "places"}


def test_an_expert_is_credited_with_the_kind_that_it_gets_most():
    names = ["a"] * 4 + ["b"] * 4 + ["a_far"] * 2 + ["unknown"] * 5
    experts = [2, 2, 2, 0] + [0, 0, 0, 0] + [2, 2] + [1] * 5
    kinds = kinds_of(["a", "b", "a_far", "unknown"], ["a", "b"])
    summary = summarise(experts, [None] * 15, names, num_experts=4, kinds=kinds)
    assert summary.datasets == ["a", "a_far", "b", "unknown"] and summary.kinds == ["a", "a", "b", None]
    assert summary.expert_kinds == ["b", None, "a", None]
    assert summary.separated == pytest.approx(0.9)
    assert summary.experts_by_kind == [2, 0, 1, 3]
    known = [(kind, expert) for kind, expert in zip(names, experts, strict=True) if kind != "unknown"]
    expected = adjusted_mutual_info_score([kind[0] for kind, _ in known], [expert for _, expert in known])
    assert summary.adjusted_information == pytest.approx(expected)


def test_one_kind_or_none_cannot_be_told_apart():
    for kinds in ({"A": "A"}, {}):
        summary = summarise([0, 1], [None] * 2, ["A", "B"], kinds=kinds)
        assert math.isnan(summary.separated) and math.isnan(summary.adjusted_information)
