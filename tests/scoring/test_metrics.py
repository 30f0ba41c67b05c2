"""A metric is one file: its name travels with the scores, and the report needs to know nothing else."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.cli import main
from ptmoe.config.params import ScoreParams, StatisticsParams
from ptmoe.reporting.report import write_report
from ptmoe.runtime.errors import ScoringError
from ptmoe.scoring.cell import score_cell
from ptmoe.scoring.registry import load_metric, metric_names
from ptmoe.scoring.scores import read_scores


def test_every_file_is_a_metric_of_its_name():
    assert {"qa", "math", "rouge_l"} <= set(metric_names())
    for name in metric_names():
        metric = load_metric(name)
        assert metric.name == name and metric.headline in metric.columns and metric.rules


def test_an_unknown_metric_names_the_known_ones():
    with pytest.raises(ScoringError, match=r"'rouge' has no file .* did you mean rouge_l\? allowed: math, qa, rouge_l"):
        load_metric("rouge")


def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence():
    metric = load_metric("rouge_l")
    # "the cat sat" and "the old cat sat down" share three words in order: P = 3/3, R = 3/5.
    assert metric.score_one("the cat sat", ["the old cat sat down"], "words")["rouge_l"] == pytest.approx(0.75)
    assert metric.score_one("cats", ["cat"], "words")["rouge_l"] == 0
    assert metric.score_one("cats", ["cat"], "stems")["rouge_l"] == 1
    assert metric.score_one("cat", ["dog", "cat"], "words")["rouge_l"] == 1


def test_a_task_with_one_column_goes_from_predictions_to_the_report(tmp_path):
    split = tmp_path / "data/split/notes"
    (split / "test").mkdir(parents=True)
    answers = [["a b c"], ["d e"]]
    columns = {"id": ["0", "1"], "question": ["?", "?"], "context": ["", ""], "answers": answers, "group": ["x", "y"]}
    pq.write_table(pa.table(columns), split / "test/Own.parquet")
    (split / "datasets.json").write_text(json.dumps({"Own": {"domain": "in-domain", "rows": 2}}))
    for method, said in (("pt", ["a b c", "d e"]), ("untuned", ["a x c", ""])):
        predictions = tmp_path / f"predictions/notes-{method}-0.parquet"
        predictions.parent.mkdir(exist_ok=True)
        table = {"id": ["0", "1"], "dataset": ["Own"] * 2, "prediction": said, "answers": answers, "new_tokens": [1, 1]}
        pq.write_table(pa.table(table), predictions)
        score_cell(
            ScoreParams(metric="rouge_l", rule="words"),
            predictions,
            split,
            tmp_path / f"metrics/notes/{method}-0.json",
            tmp_path / f"scores/notes/{method}-0.parquet",
        )
    metric, table = read_scores(tmp_path / "scores/notes/untuned-0.parquet")
    assert metric.name == "rouge_l" and table["rouge_l"].to_pylist() == pytest.approx([2 / 3, 0])
    assert json.loads((tmp_path / "metrics/notes/pt-0.json").read_text()) == {"rouge_l": 100.0, "rouge_l_in": 100.0}
    statistics = StatisticsParams(confidence=0.95, resamples=100)
    write_report(["notes"], ["untuned", "pt"], [0], statistics, tmp_path, tmp_path / "report")
    assert "ROUGE-L" in (tmp_path / "report/leaderboard.md").read_text()
    assert "ROUGE-L" in (tmp_path / "report/index.html").read_text()


def test_a_rule_of_its_own_for_one_data_set():
    score = ScoreParams(metric="math", rule="numeric", dataset_rules={"GSM8K": "metamath"})
    assert score.rule_of("GSM8K") == "metamath" and score.rule_of("SVAMP/Addition") == "numeric"


def test_scores_without_a_metric_are_refused(tmp_path):
    pq.write_table(pa.table({"id": ["0"], "dataset": ["A"], "f1": [1.0]}), tmp_path / "old.parquet")
    with pytest.raises(ScoringError, match="names no metric"):
        read_scores(tmp_path / "old.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(ScoringError, match="not a complete parquet file"):
        read_scores(tmp_path / "cut.parquet")


def test_the_score_command_refuses_an_unknown_rule(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text('{"prediction": "x", "answers": ["x"]}\n')
    with pytest.raises(SystemExit) as stop:
        main(["score", "qa", str(tmp_path / "rows.jsonl"), "--rule", "numeric"])
    assert stop.value.code == 2 and "metric 'qa' has no rule 'numeric'; allowed: mrqa" in capsys.readouterr().err
