import csv
import filecmp
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.reporting.ablation import panel
from ptmoe.reporting.analysis import analyse
from ptmoe.reporting.cells import read_task
from ptmoe.reporting.numbers import write_csv
from ptmoe.reporting.report import write_report
from ptmoe.reporting.tables import published
from tests.reporting.conftest import METHODS, SEEDS, STATISTICS, ablation_points


def report(root, out, tasks=("qa", "math"), seeds=SEEDS, **more):
    write_report(list(tasks), METHODS, list(seeds), STATISTICS, root, out, **more)
    return (out / "index.html").read_text()


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(whole_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    report(whole_run, out)
    return out


@pytest.fixture
def broken_run(whole_run, tmp_path):
    return shutil.copytree(whole_run, tmp_path / "run")


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_rerun_gives_the_same_bytes(whole_run, written, tmp_path):
    report(whole_run, tmp_path / "again")
    assert files(written) == files(tmp_path / "again")
    _, different, errors = filecmp.cmpfiles(written, tmp_path / "again", files(written), shallow=False)
    assert not different and not errors


def test_the_page_needs_nothing_else_and_escapes_what_models_say(written):
    page = (written / "index.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))
    assert links and {link[0] for link in links} == {"#"}
    assert (
        page.count("<script") == 2
        and "default-src 'none'" in page.replace("&#39;", "'")
        and "@import" not in page
        and "url(http" not in page
    )
    assert "What is &lt;" in page and "What is <" not in page
    assert page.count("<svg") == 12


def test_claims_stand_only_where_the_corrected_test_allows_them(whole_run, written):
    text = (written / "leaderboard.md").read_text() + (written / "index.html").read_text()
    allowed = {
        (row["first"], row["second"]) if float(row["difference"]) > 0 else (row["second"], row["first"])
        for row in rows(written / "comparisons.csv")
        if float(row["p_holm"]) < 0.05
    }
    said = set()
    for winner, losers in re.findall(r"\b(\w+) beats (.*?\d\))\.", text):
        said |= {(winner, loser) for loser in re.findall(r"(\w+) \(\+", losers)}
    assert said and said <= allowed
    assert {("good", "none")} <= said and not {("same", "routed"), ("routed", "same")} & said


def test_no_claim_without_a_difference(whole_run):
    run = read_task("qa", ["same", "routed"], SEEDS, whole_run)
    assert analyse(run, STATISTICS).claims() == []


def test_leaderboard_agrees_with_the_metrics_files(whole_run, written):
    shown = [row for row in rows(written / "leaderboard.csv") if (row["method"], row["metric"]) == ("good", "f1")]
    files = [json.loads((whole_run / f"metrics/qa/good-{seed}.json").read_text()) for seed in SEEDS]
    assert sorted(row["average"] for row in shown) == ["average", "in-domain", "out-of-domain"]
    for row in shown:
        key = {"average": "f1", "in-domain": "f1_in", "out-of-domain": "f1_out"}[row["average"]]
        assert float(row["score"]) == pytest.approx(np.mean([each[key] for each in files]), abs=0.011)
        assert float(row["low"]) < float(row["score"]) < float(row["high"])


def test_parts_of_a_data_set_have_a_column_and_their_mean_too(written):
    found = {r["dataset"]: float(r["score"]) for r in rows(written / "scores.csv") if r["method"] == "same"}
    assert found["Mixed"] == pytest.approx((found["Mixed/Plus"] + found["Mixed/Minus"]) / 2, abs=0.006)


def test_routing_is_reported(written):
    shares = {
        (r["dataset"], r["expert"]): float(r["share"]) for r in rows(written / "routing.csv") if r["task"] == "qa"
    }
    assert shares["Far", "1"] == 100 and shares["Close", "1"] == 0
    assert "collapsed" in (written / "index.html").read_text()


def test_what_a_router_knows_is_said_in_plain_words(written):
    page, found = (written / "index.html").read_text(), rows(written / "routing.csv")
    known = "routed separates the two test sets in 100% of cases and gains "
    assert re.search(known + r"\d+ points over its best single expert \(\d+ to \d+\)\.", page)
    assert "routed chooses expert 0 for every question and so separates no kinds of question: no gain" in page
    told = {(row["task"], row["separated"], row["adjusted_mutual_information"]) for row in found}
    assert told == {("qa", "100", "1"), ("math", "50", "0")}
    assert {row["kind"] for row in found if row["dataset"].startswith("Mixed/")} == {"Mixed"}


def test_examples_of_one_group_are_one_cluster(whole_run):
    analysis = analyse(read_task("qa", METHODS, SEEDS, whole_run), STATISTICS)
    assert {(each.num_examples, each.num_clusters) for each in analysis.comparisons} == {(70, 35)}
    assert {each.num_clusters for one in analysis.forced for each in one.against.values()} == {35}


def test_a_router_is_compared_with_its_own_experts(whole_run, written):
    found = {row["choice"]: row for row in rows(written / "forced_experts.csv") if row["task"] == "qa"}
    assert list(found) == ["router", "best expert", "random expert", "oracle"]
    tables = [pq.read_table(whole_run / f"scores/qa/routed-{seed}.parquet").to_pylist() for seed in SEEDS]
    # Both data sets count alike, whatever their size.
    values = {choice: [] for choice in found}
    for table in tables:
        by_set = [[row for row in table if row["dataset"] == name] for name in ("Close", "Far")]
        experts = np.mean([np.mean([row["by_expert"] for row in part], axis=0) for part in by_set], axis=0)
        values["best expert"].append(experts.max())
        values["random expert"].append(experts.mean())
        values["router"].append(np.mean([np.mean([row["f1"] for row in part]) for part in by_set]))
        values["oracle"].append(np.mean([np.mean([max(row["by_expert"]) for row in part]) for part in by_set]))
    for choice, expected in values.items():
        assert float(found[choice]["score"]) == pytest.approx(100 * np.mean(expected), abs=0.006)
        if choice in ("best expert", "random expert"):
            difference = 100 * (np.mean(values["router"]) - np.mean(expected))
            assert float(found[choice]["router_minus"]) == pytest.approx(difference, abs=0.011)
    left = {name: float(found["oracle"][f"router_minus{name}"]) for name in ("", "_low", "_high")}
    assert left[""] == pytest.approx(100 * np.mean(np.subtract(values["router"], values["oracle"])), abs=0.011)
    assert left["_low"] <= left[""] <= left["_high"] <= 0 and not found["oracle"]["p"]
    assert float(found["random expert"]["p_holm"]) < 0.05
    assert "best single expert" in (written / "index.html").read_text()


def test_efficiency_tells_when_half_of_the_best_was_reached(written):
    assert {row["steps_to_half"] for row in rows(written / "efficiency.csv")} == {"20"}


def test_what_is_missing_or_damaged_is_said_and_the_rest_is_complete(broken_run, tmp_path):
    """One run with everything wrong at once: gone and half-written files, gaps, NaN, an empty test set."""
    for seed in SEEDS:
        (broken_run / f"scores/qa/same-{seed}.parquet").unlink()
    (broken_run / "scores/qa/good-1.parquet").unlink()
    (broken_run / "logs/qa-routed-0.tsv").unlink()
    shutil.rmtree(broken_run / "models/qa-routed-0")
    (broken_run / "scores/math/good-0.parquet").write_bytes(b"half a file")
    predictions = broken_run / "predictions/qa-good-0.parquet"
    pq.write_table(pq.read_table(predictions).slice(5), predictions)
    scores = broken_run / "scores/qa/none-0.parquet"
    table = pq.read_table(scores)
    values = np.concatenate([[np.nan] * 3, table["f1"].to_numpy()[3:]])
    table = table.set_column(table.column_names.index("f1"), "f1", pa.array(values))
    pq.write_table(table, scores)
    sets = broken_run / "data/split/qa/datasets.json"
    sets.write_text(json.dumps(json.loads(sets.read_text()) | {"Gone": {"domain": "out-of-domain", "rows": 0}}))
    page = report(broken_run, tmp_path / "report")
    for said in (
        "qa-same-0 has no scores",
        "qa-good-1 has no scores",
        "good-0.parquet is not a complete parquet file",
        "qa-good-0: 5 of 70 examples have no prediction",
        "qa-none-0: 3 of 70 scores are not numbers",
        "the test set Gone is empty",
    ):
        assert said in page
    shown = {(row["task"], row["method"]) for row in rows(tmp_path / "report/leaderboard.csv")}
    assert shown == {(task, method) for task in ("qa", "math") for method in METHODS} - {("qa", "same")}


def test_a_task_without_any_scores(broken_run, tmp_path):
    shutil.rmtree(broken_run / "scores/math")
    page = report(broken_run, tmp_path / "report", seeds=[0])
    assert "math-none-0 has no scores" in page and 'id="qa"' in page
    assert "**math**: no scores yet." in (tmp_path / "report/leaderboard.md").read_text()


def test_nothing_at_all(tmp_path):
    assert "has no scores" in report(tmp_path / "empty", tmp_path / "report")


def test_costs_stand_only_in_the_report_that_is_not_tracked(whole_run, tmp_path):
    costs = [["cell", "stage", "seconds"], ["qa-good-0", "train", "12.5"]]
    assert "12.5" in report(whole_run, tmp_path / "report", tasks=["qa"], seeds=[0], costs=costs)


def test_ablations_stand_only_in_the_report_that_is_not_tracked(whole_run, written, tmp_path):
    drawn = {"experts": panel("number of experts", ablation_points())}
    page = report(whole_run, tmp_path / "report", tasks=["qa"], seeds=[0], ablations=drawn)
    assert 'id="ablations"' in page and "number of experts" in page
    assert (tmp_path / "report/figures/ablation-experts.png").exists()
    assert 'id="ablations"' not in (written / "index.html").read_text()


def test_published_scores_name_both_base_models(whole_run, tmp_path):
    """The run's base is no Llama; one of its data sets is taken for the paper's."""
    run = read_task("qa", ["same"], SEEDS, whole_run)
    run.cells = {("pt", seed): result for (_, seed), result in run.cells.items()}
    run.methods, run.datasets = ["pt"], {"SQuAD": run.datasets["Close"], "DROP": run.datasets["Far"]}
    names = {"Close": "SQuAD", "Far": "DROP"}
    for result in run.cells.values():
        result.scores["dataset"] = np.array([names[name] for name in result.scores["dataset"]], dtype=object)
    for base, note in (("tiny", "different base models"), ("meta-llama/Llama-3.2-1B-Instruct", "")):
        for result in run.cells.values():
            result.adapter["base"]["name"] = base
        write_csv(tmp_path / "published.csv", *published([analyse(run, STATISTICS)]))
        found = rows(tmp_path / "published.csv")
        assert {(row["published_base"], row["base"], row["note"]) for row in found} == {
            ("Llama-3.2-1B-Instruct", base, note)
        }


def test_report_and_score_import_no_model_library():
    code = (
        "import sys, ptmoe.reporting.report, ptmoe.scoring.cell;"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'transformers')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
