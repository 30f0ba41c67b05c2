import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.cli import main
from ptmoe.commands.compare import _sentence
from ptmoe.config.cells import Cell
from ptmoe.config.params import Grid, Params, StatisticsParams
from ptmoe.reporting.compare import compare_sides, pairs, resolve
from ptmoe.runtime.errors import DataError, ScoringError

STATISTICS = StatisticsParams(confidence=0.95, resamples=500)
GRID = Grid.model_construct(tasks=["qa"], methods=["pt", "ptmoe"], seeds=[0, 1])


def write_scores(path, right, number=60, **columns):
    """`right`: the share of examples that score 1."""
    values = [float(index < right * number) for index in range(number)]
    table = {"id": [str(i) for i in range(number)], "dataset": ["A"] * number, "em": values, "f1": values}
    path.parent.mkdir(parents=True, exist_ok=True)
    metric = {"metric": "qa"}
    pq.write_table(pa.table(table | columns).replace_schema_metadata(metric), path)


def call(*arguments):
    prefix = [sys.executable, "-m"] if arguments[0] == "dvc" else []
    subprocess.run([*prefix, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        write_scores(Cell("qa", "pt", seed).scores, 0.2)
        write_scores(Cell("qa", "ptmoe", seed).scores, 0.8)
    return tmp_path


def test_cells_adapters_and_files_name_the_same_scores(project):
    (project / "models/qa-pt-0").mkdir(parents=True)
    sides = [resolve(name, None, GRID) for name in ("qa-pt-0", "models/qa-pt-0", "scores/qa/pt-0.parquet")]
    tables = [side[key].seeds[0].table for side, key in zip(sides, ("qa", "qa", ""), strict=True)]
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])


def test_a_method_stands_for_all_its_seeds(project):
    first, second = resolve("ptmoe", "qa", GRID), resolve("pt", "qa", GRID)
    made, alone, column = compare_sides(*pairs(first, second)["qa"], STATISTICS)
    assert (made.num_seeds, made.num_examples, alone, column) == (2, 60, 0, "F1")
    assert made.difference.value == pytest.approx(0.6)


def test_only_shared_examples_count(project):
    ids = [str(index) for index in range(30, 90)]
    write_scores(project / "other.parquet", 1.0, id=ids)
    a, b = resolve("other.parquet", None, GRID)[""], resolve("qa-pt-0", None, GRID)["qa"]
    made, alone, _ = compare_sides(a, b, STATISTICS)
    assert (made.num_examples, alone) == (30, 60)
    assert "beats" in _sentence("qa", made, alone, 0.95) and "60 examples" in _sentence("qa", made, alone, 0.95)


def test_equal_scores_are_not_told_apart(project):
    first, second = resolve("qa-pt-0", None, GRID)["qa"], resolve("qa-pt-1", None, GRID)["qa"]
    made, alone, _ = compare_sides(first, second, STATISTICS)
    assert made.p == 1 and "beats" not in _sentence("", made, alone, 0.95)


def test_rows_of_the_score_command(project):
    for name, value in (("a", 1), ("b", 0)):
        (project / f"{name}.jsonl").write_text(f'{{"em": {value}, "f1": {value}}}\n' * 20)
    both = pairs(resolve("a.jsonl", None, GRID), resolve("b.jsonl", None, GRID))
    made, _, _ = compare_sides(*both[""], STATISTICS)
    assert made.num_examples == 20 and made.difference.value == 1


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_of_one_group_are_one_cluster(project):
    """A parquet file's groups and those of JSON Lines; rows without a group stand alone."""
    for name, shift in (("a", 0), ("b", 7)):
        rows = [{"em": 0, "f1": (index * 5 + shift) % 11 / 11, "group": index // 6} for index in range(60)]
        write_rows(project / f"{name}.jsonl", [*rows, {"em": 0, "f1": 0.5}, {"em": 1, "f1": 0.5, "group": None}])
        groups = [str(index // 6) for index in range(60)]
        write_scores(project / f"{name}.parquet", 0.5, f1=[row["f1"] for row in rows], group=groups)
    for ending, clusters in (("jsonl", 12), ("parquet", 10)):
        sides = [resolve(f"{name}.{ending}", None, GRID)[""] for name in ("a", "b")]
        made, _, _ = compare_sides(*sides, STATISTICS)
        assert made.num_clusters == clusters and not made.difference.warning


@pytest.mark.parametrize("number", [1, 2])
def test_files_of_one_and_two_rows_give_a_number_and_a_warning(project, number, monkeypatch, capsys):
    monkeypatch.setattr(
        Params, "load", lambda *_: SimpleNamespace(grid=GRID.model_copy(update={"statistics": STATISTICS}))
    )
    write_rows(project / "a.jsonl", [{"em": 1, "f1": 1.0}] * number)
    write_rows(project / "b.jsonl", [{"em": 0, "f1": 0.25}] * number)
    assert main(["compare", "a.jsonl", "b.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "+75.00" in said and "not significantly different" in said
    assert ("'all' has one example" if number == 1 else "'all' has 2 examples") in said


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"em": 1}', "row 2: f1 is None; allowed: a number from 0 to 1"),
        ('{"em": 1, "f1": 55}', "row 2: f1 is 55"),
        ('{"em": 1, "f1": NaN}', "line 2: invalid JSON .NaN"),
        ('{"em": 1, "f1": "1"}', "row 2: f1 is '1'"),
        ('{"metric": "math", "em": 1, "f1": 1}', "must name one metric in each row"),
    ],
)
def test_rows_that_are_no_scores_are_refused(project, row, message):
    (project / "a.jsonl").write_text('{"em": 1, "f1": 1}\n' + row)
    with pytest.raises((ScoringError, DataError), match=message):
        side = resolve("a.jsonl", None, GRID)[""]
        compare_sides(side, side, STATISTICS)


@pytest.mark.parametrize("name", ["nothing", "nothing:qa-pt-0", "qa-pt-7"])
def test_unknown_names_say_what_is_allowed(project, name):
    with pytest.raises(ScoringError, match=r"neither a Git revision|not a scores file, cell, method or revision"):
        resolve(name, None, GRID)


def test_nothing_in_common(project):
    write_scores(project / "other.parquet", 1.0, id=[f"x{index}" for index in range(60)])
    with pytest.raises(ScoringError, match="share no scored example"):
        compare_sides(resolve("other.parquet", None, GRID)[""], resolve("qa-pt-0", None, GRID)["qa"], STATISTICS)
    other = pa.table({"id": ["1"], "dataset": ["A"], "accuracy": [1.0], "accuracy_strict": [1.0]})
    pq.write_table(other.replace_schema_metadata({"metric": "math"}), "m.parquet")
    with pytest.raises(ScoringError, match="no metric in common"):
        compare_sides(resolve("m.parquet", None, GRID)[""], resolve("qa-pt-0", None, GRID)["qa"], STATISTICS)
    (project / "bad.parquet").write_text("no parquet")
    with pytest.raises(ScoringError, match="is not a complete parquet file"):
        resolve("bad.parquet", None, GRID)


def test_revisions_are_read_from_the_cache(project):
    for command in (
        "git init -q",
        "git config user.email a@b.c",
        "git config user.name t",
        "dvc init -q",
        "dvc add -q scores",
    ):
        call(*command.split())
    call("git", "add", "-A"), call("git", "commit", "-qm", "one")
    write_scores(Cell("qa", "pt", 0).scores, 0.9)
    call("dvc", "add", "-q", "scores"), call("git", "commit", "-qam", "two")
    before, after = resolve("HEAD~1", None, GRID), resolve("HEAD", None, GRID)
    assert list(before) == ["qa-pt-0", "qa-pt-1", "qa-ptmoe-0", "qa-ptmoe-1"]
    changed = {key: compare_sides(*both, STATISTICS)[0].difference.value for key, both in pairs(after, before).items()}
    assert changed == {"qa-pt-0": pytest.approx(0.7), "qa-pt-1": 0, "qa-ptmoe-0": 0, "qa-ptmoe-1": 0}
    old = resolve("HEAD~1:qa-pt-0", None, GRID)["qa"]
    assert np.mean(old.seeds[0].table["f1"]) == pytest.approx(0.2)
    with pytest.raises(ScoringError, match="is neither a Git revision"):
        resolve("other:qa-pt-0", None, GRID)
