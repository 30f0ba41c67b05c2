"""The statistics, checked by simulation and against scipy."""

import numpy as np
import pytest
from scipy import stats

from ptmoe.runtime.errors import ScoringError
from ptmoe.statistics.clusters import present
from ptmoe.statistics.estimates import Resampling, compare, corrected, holm, permutation_p

SHARES = {"a": 0.5, "b": 0.5}
SIMULATIONS = 1000
DRAWS = 399


ZERO = {"a": 0, "b": 0}


def rejections(p_values):
    """How often a test rejects at 5 percent."""
    return np.mean(np.array(p_values) <= 0.05)


def coverage(simulate, truth):
    """How often the 95 percent interval holds the true score."""
    found = 0
    for index in range(SIMULATIONS):
        estimate = Resampling(simulate(), 0.95, DRAWS, str(index)).estimate(SHARES)
        found += estimate.low <= truth <= estimate.high
    return found / SIMULATIONS


def right_or_wrong(rng):
    return {"a": 1.0 * (rng.random((1, 150)) < 0.6), "b": 1.0 * (rng.random((1, 100)) < 0.3)}


def f1_like(rng):
    return {"a": rng.beta(0.5, 0.5, (1, 150)), "b": rng.beta(0.3, 0.6, (1, 100))}


def with_seeds(rng, num_seeds, spread):
    """Examples of own difficulty, seeds of own quality, and noise."""
    quality = rng.normal(0, spread, num_seeds)[:, None]
    difficulty = {"a": rng.normal(0.5, 0.3, (1, 150)), "b": rng.normal(0.3, 0.3, (1, 100))}
    return {key: each + quality + rng.normal(0, 0.1, (num_seeds, each.shape[1])) for key, each in difficulty.items()}


@pytest.mark.parametrize(("simulate", "truth"), [(right_or_wrong, 0.45), (f1_like, (1 / 2 + 1 / 3) / 2)])
def test_intervals_by_example_cover(simulate, truth):
    rng = np.random.default_rng(1)
    assert 0.93 <= coverage(lambda: simulate(rng), truth) <= 0.97


@pytest.mark.parametrize(("num_seeds", "spread"), [(3, 0.1), (5, 0.03)])
def test_intervals_by_seed_and_example_cover(num_seeds, spread):
    rng = np.random.default_rng(2)
    assert 0.93 <= coverage(lambda: with_seeds(rng, num_seeds, spread), 0.4) <= 0.97


def test_paired_test_keeps_its_level_by_example():
    rng = np.random.default_rng(3)

    def differences():
        sizes = ("a", 150), ("b", 100)
        return present({key: rng.normal(0, 1, (1, n)) * rng.integers(0, 2, (1, n)) for key, n in sizes})

    p_values = [permutation_p(differences(), SHARES, DRAWS, str(index)) for index in range(4 * SIMULATIONS)]
    assert 0.04 <= rejections(p_values) <= 0.06


def test_paired_test_keeps_its_level_on_right_or_wrong():
    rng = np.random.default_rng(4)

    def differences():
        first, second = right_or_wrong(rng), right_or_wrong(rng)
        return present({key: first[key] - second[key] for key in first})

    p_values = [permutation_p(differences(), SHARES, DRAWS, str(index)) for index in range(4 * SIMULATIONS)]
    assert 0.04 <= rejections(p_values) <= 0.06


def test_seeds_that_differ_are_not_taken_for_a_better_method():
    """The test by example alone rejects most of these; three lucky seeds must not make a claim."""
    rng = np.random.default_rng(5)

    def differences():
        quality = rng.normal(0, 0.1, (3, 1))
        return {key: quality + rng.normal(0, 0.2, (3, n)) for key, n in (("a", 150), ("b", 100))}

    assert rejections([permutation_p(present(differences()), SHARES, DRAWS, str(i)) for i in range(200)]) > 0.5
    made = [compare((str(i), differences()), ("0", ZERO), SHARES, 0.95, DRAWS) for i in range(SIMULATIONS)]
    assert rejections([each.p for each in made]) <= 0.06


def test_permutation_test_is_that_of_scipy():
    rng = np.random.default_rng(6)
    values = rng.normal(0.15, 1, 80)
    reference = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=20000, rng=np.random.default_rng(0)
    ).pvalue
    ours = permutation_p(present({"a": values[None]}), {"a": 1.0}, 20000, "x")
    assert ours == pytest.approx(reference, abs=0.012)
    assert permutation_p(present({"a": np.zeros((1, 9))}), {"a": 1.0}, 100, "x") == 1


def test_interval_of_one_data_set_is_that_of_scipy():
    values = np.random.default_rng(7).beta(0.5, 1, 300)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    ours = Resampling({"a": values[None]}, 0.95, 20000, "x").estimate({"a": 1.0})
    assert (ours.low, ours.high) == (pytest.approx(reference.low, abs=0.002), pytest.approx(reference.high, abs=0.002))


def test_all_wrong_is_not_surely_zero():
    estimate = Resampling({"a": np.zeros((1, 100))}, 0.95, 4999, "x").estimate({"a": 1.0})
    assert estimate.value == estimate.low == 0
    assert 0.01 < estimate.high < 0.04


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_correction_keeps_the_family_level():
    """Of 200 families of three equal methods, a claim is made in about 5 percent at most."""
    rng = np.random.default_rng(8)
    wrong = 0
    for index in range(200):
        scores = {name: {"a": rng.normal(0, 1, (1, 100))} for name in "xyz"}
        pairs = [("x", "y"), ("x", "z"), ("y", "z")]
        made = [compare((f"{p}{index}", scores[p]), (q, scores[q]), {"a": 1.0}, 0.95, DRAWS) for p, q in pairs]
        wrong += any(each.beats(0.95) for each in corrected(made))
    assert wrong <= 20


def test_detectable_difference_is_found_with_a_power_of_80_percent():
    rng = np.random.default_rng(9)
    detectable = compare(("x", {"a": rng.normal(0, 1, (1, 400))}), ("0", ZERO), {"a": 1.0}, 0.95, DRAWS).detectable
    assert detectable == pytest.approx(2.8 / 20, rel=0.1)
    samples = [present({"a": rng.normal(2.8 / 20, 1, (1, 400))}) for _ in range(500)]
    shifted = [permutation_p(each, {"a": 1.0}, DRAWS, str(i)) for i, each in enumerate(samples)]
    assert 0.74 <= np.mean(np.array(shifted) <= 0.05) <= 0.86


def test_gaps_are_left_out_and_a_missing_data_set_gives_no_score():
    gap = np.array([[1.0, 0.0, np.nan, 1.0], [np.nan] * 4, [0.0, 0.0, 1.0, 1.0]])
    left = present({"a": gap, "b": np.full((3, 5), np.nan)})
    assert left.keys() == {"a"} and left["a"].sums.tolist() == [[1, 0, 1], [0, 0, 1]]
    resampling = Resampling({"a": gap, "b": np.full((3, 5), np.nan)}, 0.95, DRAWS, "x")
    assert resampling.estimate({"a": 1.0}).value == 0.5
    assert np.isnan(resampling.estimate(SHARES).value)
    with pytest.raises(ScoringError, match="no scored example of b with the same seed"):
        compare(("x", {"a": gap, "b": gap}), ("y", {"a": gap, "b": gap * np.nan}), SHARES, 0.95, DRAWS)


def test_same_input_gives_the_same_interval():
    scores = f1_like(np.random.default_rng(10))
    first, second = (Resampling(scores, 0.95, 200, "x").estimate(SHARES) for _ in range(2))
    assert first == second
