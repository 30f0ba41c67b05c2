"""The measures of continual learning, against numbers by hand."""

import numpy as np
import pytest

from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.continual import Learned, as_json, compare_learners, estimates, figure, tables

STATISTICS = StatisticsParams(confidence=0.95, resamples=200)


def examples(right, of=10):
    """[1, n] scores of which `right` are 1."""
    return np.repeat([1.0, 0.0], [right, of - right])[None]


def learned(*matrices):
    """Learners whose R [T, T] is given in tenths; each task has one data set of ten examples."""
    scores = {
        f"learner{number}": [[{"A": examples(right)} for right in row] for row in matrix]
        for number, matrix in enumerate(matrices)
    }
    tasks = ["a", "b", "c"][: len(matrices[0])]
    return Learned(tasks, scores, [{"A": np.arange(10)} for _ in tasks], ["EM" for _ in tasks])


def test_measures_equal_numbers_by_hand():
    #          a  b  c
    matrix = [[8, 1, 2], [9, 7, 0], [5, 6, 10]]
    found = estimates(learned(matrix), "learner0", STATISTICS)
    assert [[round(10 * each.value) for each in row] for row in found["R"]] == matrix
    assert found["average_accuracy"].value == pytest.approx((0.5 + 0.6 + 1.0) / 3)
    # (5 - 8 + 6 - 7) / 2 and (max(8, 9) - 5 + max(1, 7) - 6) / 2 tenths.
    assert found["backward_transfer"].value == pytest.approx(-0.2)
    assert found["forgetting"].value == pytest.approx(0.25)
    for each in (found["backward_transfer"], found["forgetting"]):
        assert each.low <= each.value <= each.high


def test_what_never_changes_is_neither_transfer_nor_forgetting():
    found = estimates(learned([[6, 3], [6, 4]]), "learner0", STATISTICS)
    assert found["backward_transfer"].value == found["forgetting"].value == 0


def test_a_task_that_gets_better_has_negative_forgetting():
    found = estimates(learned([[2, 0], [9, 4]]), "learner0", STATISTICS)
    assert found["backward_transfer"].value == pytest.approx(0.7)
    assert found["forgetting"].value == pytest.approx(-0.7)


def test_each_seed_has_its_own_best_step():
    both = [np.concatenate([examples(first), examples(second)]) for first, second in [(9, 2), (3, 8), (1, 1)]]
    rest = np.concatenate([examples(5), examples(5)])
    scores = {"learner": [[{"A": step}, {"A": rest}, {"A": rest}] for step in both]}
    made = Learned(["a", "b", "c"], scores, [{"A": np.arange(10)}] * 3, ["EM"] * 3)
    # Task a forgets 9 - 1 in one seed and 8 - 1 in the other, task b nothing.
    assert estimates(made, "learner", STATISTICS)["forgetting"].value == pytest.approx((0.8 + 0.7) / 2 / 2)


def test_data_sets_of_a_task_count_evenly():
    scores = [{"A": examples(10), "B": examples(0, of=90)}, {"A": examples(5)}]
    clusters = [{"A": np.arange(10), "B": np.arange(90)}, {"A": np.arange(10)}]
    made = Learned(["a", "b"], {"learner": [scores, scores]}, clusters, ["EM", "EM"])
    assert estimates(made, "learner", STATISTICS)["average_accuracy"].value == pytest.approx(0.5)


def test_tables_figure_and_comparison_name_every_learner():
    made = learned([[8, 1], [0, 7]], [[8, 1], [8, 7]])
    measured = {learner: estimates(made, learner, STATISTICS) for learner in made.scores}
    text = tables(made, measured)
    assert [line.split()[:2] for line in text.split("\n\n")[0].splitlines()[1:]] == [
        ["learner0", "a"],
        ["learner0", "b"],
        ["learner1", "a"],
        ["learner1", "b"],
    ]
    assert len(figure(made, measured).axes) == 2
    (comparison,) = compare_learners(made, STATISTICS)
    assert comparison.difference.value == pytest.approx(-0.4)
    assert as_json(comparison.difference)["value"] == -40.0
