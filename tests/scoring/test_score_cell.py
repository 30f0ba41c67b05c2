import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.config.params import ScoreParams
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.cell import score_cell

QA = ScoreParams(metric="qa", rule="mrqa")
MATH = ScoreParams(metric="math", rule="numeric")
GROUPS = ["one passage", "one passage", "another"]


def write_test_sets(folder, sets):
    """sets: {dataset: (domain, {id: answers})}."""
    for name, (_, examples) in sets.items():
        path = folder / "test" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        ids, answers = pa.array(examples.keys(), pa.string()), pa.array(examples.values(), pa.list_(pa.string()))
        pq.write_table(pa.table({"id": ids, "answers": answers, "group": pa.array(GROUPS[: len(ids)])}), path)
    entries = {name: {"domain": domain, "rows": len(examples)} for name, (domain, examples) in sets.items()}
    (folder / "datasets.json").write_text(json.dumps(entries))


def write_predictions(path, rows):
    dataset, ids, texts = (list(column) for column in zip(*rows, strict=True))
    pq.write_table(pa.table({"id": ids, "dataset": dataset, "prediction": pa.array(texts, pa.string())}), path)


def run(folder, score=QA):
    out = folder / "metrics.json", folder / "scores.parquet"
    score_cell(score, folder / "predictions.parquet", folder, *out)
    return json.loads(out[0].read_text()), pq.read_table(out[1]).to_pydict()


def test_scores_stand_in_the_order_of_the_test_sets(tmp_path):
    sets = {"B": ("in-domain", {"1": ["x"], "2": ["y z"]}), "A": ("out-of-domain", {"1": ["w", "v"]})}
    write_test_sets(tmp_path, sets)
    write_predictions(tmp_path / "predictions.parquet", [("A", "1", "V."), ("B", "2", "y"), ("B", "1", "no")])
    metrics, scores = run(tmp_path)
    assert (scores["dataset"], scores["id"]) == (["B", "B", "A"], ["1", "2", "1"])
    assert scores["group"] == ["one passage", "one passage", "one passage"]
    assert scores["em"] == [0, 0, 1] and scores["f1"] == [0, pytest.approx(2 / 3), 1]
    assert metrics == {"f1": 66.67, "em": 50.0, "f1_in": 33.33, "f1_out": 100.0}


def test_forced_experts_are_scored_by_the_headline(tmp_path):
    write_test_sets(tmp_path, {"A": ("in-domain", {"1": ["y z"], "2": ["x"]})})
    write_predictions(tmp_path / "predictions.parquet", [("A", "1", "y"), ("A", "2", "x")])
    table = pq.read_table(tmp_path / "predictions.parquet")
    texts = pa.array([["y", "y z"], None], pa.list_(pa.string()))
    pq.write_table(table.append_column("by_expert", texts), tmp_path / "predictions.parquet")
    _, scores = run(tmp_path)
    assert scores["by_expert"] == [[pytest.approx(2 / 3), 1], None]


def test_missing_prediction_counts_as_wrong_and_is_said(tmp_path, capsys):
    write_test_sets(tmp_path, {"A": ("in-domain", {"1": ["x"], "2": ["x"], "3": ["x"]})})
    write_predictions(tmp_path / "predictions.parquet", [("A", "1", "x"), ("A", "2", None)])
    metrics, scores = run(tmp_path)
    assert metrics == {"f1": 33.33, "em": 33.33, "f1_in": 33.33}
    assert len(scores["id"]) == 3
    assert "2 of 3 examples have no prediction" in capsys.readouterr().out


def test_empty_test_set_is_left_out_of_the_averages(tmp_path):
    write_test_sets(tmp_path, {"A": ("in-domain", {"1": ["4"]}), "E": ("out-of-domain", {})})
    write_predictions(tmp_path / "predictions.parquet", [("A", "1", "The answer is: 4")])
    metrics, _ = run(tmp_path, MATH)
    assert metrics == {"accuracy": 100.0, "accuracy_strict": 100.0, "accuracy_in": 100.0}


def test_parts_are_averaged_before_their_siblings(tmp_path):
    sets = {
        "G": ("in-domain", {"1": ["1"]}),
        "S/A": ("out-of-domain", {"1": ["1"]}),
        "S/B": ("out-of-domain", {"1": ["1"]}),
    }
    write_test_sets(tmp_path, sets)
    rows = [("G", "1", "The answer is: 2"), ("S/A", "1", "The answer is: 1"), ("S/B", "1", "2")]
    write_predictions(tmp_path / "predictions.parquet", rows)
    metrics, _ = run(tmp_path, MATH)
    assert metrics == {
        "accuracy": 25.0,
        "accuracy_strict": 25.0,
        "accuracy_in": 0.0,
        "accuracy_out": 50.0,
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [([("A", "9", "x")], "'9' of 'A'"), ([("Z", "1", "x")], "'1' of 'Z'"), ([("A", "1", "x")] * 2, "1 examples twice")],
)
def test_predictions_of_other_test_sets_are_refused(tmp_path, rows, message):
    write_test_sets(tmp_path, {"A": ("in-domain", {"1": ["x"]})})
    write_predictions(tmp_path / "predictions.parquet", rows)
    with pytest.raises(ScoringError, match=message):
        run(tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_missing_files_name_the_stage_to_run(tmp_path):
    with pytest.raises(ScoringError, match="dvc repro split"):
        run(tmp_path)
    write_test_sets(tmp_path, {"A": ("in-domain", {"1": ["x"]})})
    with pytest.raises(ScoringError, match="dvc repro generate"):
        run(tmp_path)
