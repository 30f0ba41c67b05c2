"""Statistics by cluster: on simulated passages, against closed forms and scipy, on small and on real test sets."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from scipy import stats

from ptmoe.examples.converters.reading import passages
from ptmoe.examples.records import read_records
from ptmoe.metrics.qa import score as score_qa
from ptmoe.statistics.clusters import Clustered, clusters_of, numbered, present
from ptmoe.statistics.estimates import Resampling, compare, permutation_p
from tests.scoring.baselines import nearest_name, nearest_sentence

SHARES = {"a": 0.5, "b": 0.5}
ONE = {"a": 1.0}
PASSAGES = {"a": 80, "b": 50}
QUESTIONS, CORRELATION = 5, 0.3
MEANS = {"a": 0.6, "b": 0.4}
LABELS = {key: np.repeat(np.arange(number), QUESTIONS) for key, number in PASSAGES.items()}
SIMULATIONS, DRAWS = 2000, 399


def right_or_wrong(rng):
    """Answers whose chance differs between passages: two of one passage correlate with 0.3 (beta-binomial)."""
    weight = 1 / CORRELATION - 1
    chances = {key: rng.beta(MEANS[key] * weight, (1 - MEANS[key]) * weight, n) for key, n in PASSAGES.items()}
    return {key: 1.0 * (rng.random((1, len(LABELS[key]))) < chances[key][LABELS[key]]) for key in PASSAGES}


def test_intervals_cover_by_cluster_and_not_by_question():
    rng = np.random.default_rng(1)

    def coverage(clusters, simulations):
        found = (Resampling(right_or_wrong(rng), 0.95, DRAWS, str(i), clusters=clusters) for i in range(simulations))
        return np.mean([each.low <= 0.5 <= each.high for each in (made.estimate(SHARES) for made in found)])

    assert 0.93 <= coverage(LABELS, SIMULATIONS) <= 0.97
    assert coverage(None, 400) < 0.88


def test_paired_test_keeps_its_level_by_cluster_and_not_by_question():
    rng = np.random.default_rng(2)

    def rejections(clusters, simulations):
        pairs = ((right_or_wrong(rng), right_or_wrong(rng)) for _ in range(simulations))
        differences = (present({key: a[key] - b[key] for key in a}, clusters) for a, b in pairs)
        return np.mean([permutation_p(each, SHARES, DRAWS, str(i)) <= 0.05 for i, each in enumerate(differences)])

    assert 0.04 <= rejections(LABELS, SIMULATIONS) <= 0.06
    assert rejections(None, 400) > 0.12


def test_intervals_by_seed_and_cluster_cover():
    """Each seed has its own quality, and its own luck with each passage."""
    rng = np.random.default_rng(3)
    covered = 0
    for index in range(SIMULATIONS):
        quality = rng.normal(0, 0.05, (3, 1))
        scores = {}
        for key, number in PASSAGES.items():
            passage = rng.normal(MEANS[key], 0.2, number) + rng.normal(0, 0.1, (3, number))
            scores[key] = quality + passage[:, LABELS[key]] + rng.normal(0, 0.3, (3, len(LABELS[key])))
        found = Resampling(scores, 0.95, DRAWS, str(index), clusters=LABELS).estimate(SHARES)
        covered += found.low <= 0.5 <= found.high
    assert 0.93 <= covered / SIMULATIONS <= 0.97


def test_detectable_difference_is_found_with_a_power_of_80_percent():
    """Differences with variance 1 and correlation 0.3: the standard error is that of 2.2 times fewer questions."""
    rng = np.random.default_rng(4)

    def differences(shift):
        noise = np.sqrt(1 - CORRELATION) * rng.normal(size=400)
        return {"a": (shift + np.sqrt(CORRELATION) * rng.normal(size=80)[LABELS["a"]] + noise)[None]}

    design = 1 + (QUESTIONS - 1) * CORRELATION
    expected = 2.8 * np.sqrt(design / 400)
    zero = {"a": np.zeros((1, 400))}
    found = [compare((str(i), differences(0)), ("0", zero), ONE, 0.95, DRAWS, LABELS).detectable for i in range(20)]
    assert np.mean(found) == pytest.approx(expected, rel=0.05)
    p_values = [permutation_p(present(differences(expected), LABELS), ONE, DRAWS, str(i)) for i in range(500)]
    assert 0.74 <= np.mean(np.array(p_values) <= 0.05) <= 0.86


def uneven(rng, num_seeds=1):
    """Scores of passages with 1 to 9 questions, in a random order."""
    labels = rng.permutation(np.repeat(np.arange(60), rng.integers(1, 10, 60)))
    return {"a": np.clip(rng.normal(0.5, 0.3, 60)[labels] + rng.normal(0, 0.2, (num_seeds, len(labels))), 0, 1)}, labels


def cluster_robust_error(values, labels):
    """The standard error CR1 of a regression on a constant, written out with its matrices."""
    design = np.ones((len(values), 1))
    bread = np.linalg.inv(design.T @ design)
    residuals = values - values.mean()
    meat = sum(
        np.outer(each, each)
        for label in set(labels)
        if (each := design[labels == label].T @ residuals[labels == label]).size
    )
    number, groups = len(values), len(set(labels))
    correction = groups / (groups - 1) * (number - 1) / (number - design.shape[1])
    return float(np.sqrt(correction * (bread @ meat @ bread)[0, 0]))


def test_standard_error_is_the_closed_form_and_that_of_scipys_bootstrap():
    scores, labels = uneven(np.random.default_rng(5))
    found = Resampling(scores, 0.95, 20000, "x", clusters={"a": labels})
    assert found.standard_error(ONE) == pytest.approx(cluster_robust_error(scores["a"][0], labels), rel=1e-12)
    sums, sizes = np.bincount(labels, scores["a"][0]), np.bincount(labels)
    reference = stats.bootstrap(
        (sums, sizes),
        lambda top, bottom, axis: top.sum(axis) / bottom.sum(axis),
        paired=True,
        n_resamples=20000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval, estimate = reference.confidence_interval, found.estimate(ONE)
    assert estimate.value == pytest.approx(scores["a"].mean())
    assert (estimate.low, estimate.high) == (
        pytest.approx(interval.low, abs=2e-3),
        pytest.approx(interval.high, abs=2e-3),
    )
    assert found.standard_error(ONE) == pytest.approx(reference.standard_error, rel=0.03)


def test_paired_test_flips_whole_clusters():
    """Against all sign patterns of five clusters."""
    values, labels = np.random.default_rng(6).normal(0.4, 1, (1, 17)), np.arange(17) % 5
    sums = np.bincount(labels, values[0])
    signs = np.array(list(product((-1, 1), repeat=5)))
    exact = np.mean(np.abs(signs @ sums) >= np.abs(sums.sum()) * (1 - 1e-9))
    found = permutation_p(present({"a": values}, {"a": labels}), ONE, 20000, "x")
    assert found == pytest.approx(exact, abs=0.01)


def singletons():
    """Two methods with three seeds, one of which is missing, and a gap."""
    rng = np.random.default_rng(21)
    first = {"a": rng.beta(0.5, 0.5, (3, 80)), "b": 1.0 * (rng.random((3, 50)) < 0.4)}
    second = {"a": rng.beta(0.5, 0.6, (3, 80)), "b": 1.0 * (rng.random((3, 50)) < 0.6)}
    first["a"][1], first["b"][1], second["a"][0, 3] = np.nan, np.nan, np.nan
    return first, second


def test_clusters_of_one_example_give_the_numbers_without_clusters():
    first, second = singletons()
    labels = {"a": np.random.default_rng(0).permutation(80), "b": np.arange(50)[::-1]}
    found = [Resampling(first, 0.95, 400, "old", clusters=clusters) for clusters in (None, labels)]
    assert np.array_equal(*(each.draws(SHARES) for each in found))
    assert found[0].standard_error(SHARES) == found[1].standard_error(SHARES)
    pair = ("x", first), ("y", second)
    assert compare(*pair, SHARES, 0.95, 400) == compare(*pair, SHARES, 0.95, 400, labels)


def test_numbers_without_clusters_have_not_changed():
    """Computed by the resampling of examples that the one of clusters replaced."""
    first, second = singletons()
    resampling = Resampling(first, 0.95, 400, "old")
    estimate = resampling.estimate(SHARES)
    before = (0.4713420871351258, 0.3663461434252655, 0.6116909597024484, 0.032871969151761604)
    after = (estimate.value, estimate.low, estimate.high, resampling.standard_error(SHARES))
    assert after == pytest.approx(before, rel=1e-12)
    made = compare(("x", first), ("y", second), SHARES, 0.95, 400)
    before = (-0.1507995357792983, 0.037221334474410284, 0.2718204488778055, 0.30423940149625933, 0.12113530136681915)
    after = (made.difference.low, made.difference.high, made.p_examples, made.p, made.detectable)
    assert after == pytest.approx(before, rel=1e-12) and (made.num_examples, made.num_seeds) == (129, 2)


def test_gaps_shrink_their_clusters():
    gap = np.array([[1.0, 0.0, np.nan, 1.0, 0.5], [np.nan] * 5, [0.0, 0.0, 1.0, 1.0, np.nan]])
    left = present({"a": gap, "b": gap}, {"a": np.array([7, 3, 7, 7, 5]), "b": np.arange(5)})
    assert left["a"].sizes.tolist() == [2, 1] and left["a"].sums.tolist() == [[2, 0], [1, 0]]
    assert left["b"].num_clusters == 3


def comparison(first, second, clusters=None):
    return compare(("x", {"a": np.array(first)}), ("y", {"a": np.array(second)}), ONE, 0.95, DRAWS, clusters)


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize("number", [1, 5])
def test_one_cluster_shows_a_difference_and_tells_nothing(num_seeds, number):
    same = {"a": np.zeros(number, int)}
    made = comparison([[1.0] * number] * num_seeds, [[0.25] * number] * num_seeds, same)
    assert made.difference.value == 0.75 and made.difference.low < 0 < made.difference.high <= 1
    assert made.p == 1 and made.detectable > 0.5
    assert ("one example" if number == 1 else "one group of 5 related examples") in made.difference.warning
    alone = Resampling({"a": np.full((num_seeds, number), 0.5)}, 0.95, DRAWS, "x", clusters=same).estimate(ONE)
    assert alone.value == 0.5 and 0 <= alone.low < 0.1 and 0.9 < alone.high <= 1 and alone.warning


def test_two_rows_give_a_number_and_a_warning():
    made = comparison([[1.0, 0.5]], [[0.0, 0.25]])
    assert (made.difference.value, made.difference.low, made.difference.high) == (0.625, 0.25, 1.0)
    assert made.p > 0.4 and "The test set 'a' has 2 examples: interval" in made.difference.warning


def test_equal_scores_give_a_number_and_a_warning():
    made = comparison(np.full((1, 40), 0.7), np.full((1, 40), 0.4))
    assert (made.difference.low, made.difference.high) == pytest.approx((0.3, 0.3)) and made.detectable < 1e-9
    assert made.difference.warning == "All 40 values of the test set 'a' are equal: resampling sees no variation."
    assert comparison(np.eye(12)[:1], np.eye(12)[1:2]).difference.warning == ""
    wrong = Resampling({"a": np.zeros((1, 60))}, 0.95, DRAWS, "x", clusters={"a": np.arange(60) // 5}).estimate(ONE)
    alone = Resampling({"a": np.zeros((1, 12))}, 0.95, DRAWS, "x").estimate(ONE)
    assert wrong == alone and wrong.high > 0.1


def test_warnings_name_the_data_sets_of_the_score_alone():
    scores = {"a": np.random.default_rng(0).random((1, 30)), "b": np.array([[0.5, 1.0]])}
    resampling = Resampling(scores, 0.95, DRAWS, "x")
    assert resampling.estimate(ONE).warning == "" and resampling.estimate(SHARES).warning.startswith(
        "The test set 'b' has 2"
    )


def test_examples_without_a_group_stand_alone():
    assert numbered(["p", None, "q", "p", None]).tolist() == [0, 1, 2, 0, 3]
    columns = {"dataset": ["A", "B", "A"], "id": ["1", "1", "2"]}
    assert {key: len(set(labels)) for key, labels in clusters_of(columns).items()} == {"A": 2, "B": 1}
    grouped = clusters_of(columns | {"group": ["p", "p", "p"]})
    assert Clustered.of(np.ones((1, 2)), grouped["A"]).sizes.tolist() == [2]


def test_memory_of_a_large_test_set_is_bounded():
    scores = {"a": np.random.default_rng(0).random((1, 17000))}
    tracemalloc.start()
    Resampling(scores, 0.95, 1000, "x").estimate(ONE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 160 * 2**20


@pytest.mark.parametrize("name", ["drop_test_1500", "squad_test_1190"])
def test_real_questions_of_one_passage_depend_on_each_other(name, real_data):
    """Two readers without a model answer real questions; both intervals are printed side by side (pytest -s)."""
    examples = list(passages(read_records(real_data / f"mrqa/{name}.jsonl.gz"), name))
    labels = numbered(example.group for example in examples)
    print(f"\n{name}: {len(examples)} questions, {labels.max() + 1} passages")
    scores = {}
    for read in (nearest_name, nearest_sentence):
        values = [score_qa(read(each.question, each.context), each.answers, "mrqa")["f1"] for each in examples]
        scores[read.__name__] = np.array([values])
    scores["difference"] = scores["nearest_name"] - scores["nearest_sentence"]
    for what, values in scores.items():
        paired, by_passage = what == "difference", {"a": labels}
        naive, clustered = (Resampling({"a": values}, 0.95, 5000, what, paired, c) for c in (None, by_passage))
        errors = naive.standard_error(ONE), clustered.standard_error(ONE)
        print(f"{what:16s} {shown(naive)} by question, {shown(clustered)} by passage, ", end="")
        print(f"standard errors {100 * errors[0]:.2f} and {100 * errors[1]:.2f}, ", end="")
        print(f"design effect {(errors[1] / errors[0]) ** 2:.2f}")
        assert errors[0] == pytest.approx(values.std(ddof=1) / np.sqrt(len(labels)))
        assert errors[1] == pytest.approx(cluster_robust_error(values[0], labels), rel=1e-12)
        assert errors[1] > errors[0]


def shown(resampling):
    value, low, high = (100 * getattr(resampling.estimate(ONE), bound) for bound in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
