import json

import pytest

from ptmoe.config.cells import Cell
from ptmoe.config.params import StatisticsParams
from ptmoe.reporting.analysis import analyse
from ptmoe.reporting.case_study import as_text, find, most_different
from ptmoe.reporting.cells import read_task
from ptmoe.reporting.costs import read_costs
from ptmoe.reporting.numbers import as_text as table_text
from ptmoe.reporting.readme import update_readme
from ptmoe.runtime.errors import ScoringError
from tests.reporting.conftest import METHODS, SEEDS

STATISTICS = StatisticsParams(confidence=0.95, resamples=100)


def test_readme_table_is_replaced_between_the_markers(tmp_path):
    readme, table = tmp_path / "README.md", tmp_path / "leaderboard.md"
    readme.write_text("# A\n<!-- leaderboard -->\nold\n<!-- /leaderboard -->\nrest\n")
    table.write_text("| new |\n")
    assert update_readme(readme, table) is True
    assert readme.read_text() == "# A\n<!-- leaderboard -->\n\n| new |\n\n<!-- /leaderboard -->\nrest\n"
    assert update_readme(readme, table) is False


@pytest.mark.parametrize("text", ["none", "<!-- leaderboard -->", "<!-- /leaderboard --><!-- leaderboard -->"])
def test_readme_without_markers_is_left_alone(tmp_path, text):
    readme, table = tmp_path / "README.md", tmp_path / "leaderboard.md"
    readme.write_text(text), table.write_text("| new |\n")
    with pytest.raises(ScoringError, match="must hold"):
        update_readme(readme, table)
    assert readme.read_text() == text


def test_costs_of_the_named_cells(tmp_path):
    (tmp_path / "qa-pt-0.train.json").write_text(json.dumps({"seconds": 12.34, "steps": 160}))
    (tmp_path / "qa-pt-0.generate.json").write_text(json.dumps({"seconds": 3.0, "rows": 9}))
    (tmp_path / "qa-old-0.train.json").write_text("{}")
    table = read_costs([Cell("qa", "pt", 0), Cell("qa", "dpt", 0)], tmp_path)
    assert table == [
        ["cell", "stage", "seconds", "steps", "rows"],
        ["qa-pt-0", "train", "12.3", "160", ""],
        ["qa-pt-0", "generate", "3.0", "", "9"],
    ]
    assert table_text(table).splitlines() == [
        "cell     stage     seconds  steps  rows",
        "qa-pt-0  train        12.3    160",
        "qa-pt-0  generate      3.0            9",
    ]
    assert read_costs([Cell("qa", "dpt", 0)], tmp_path) == []


def test_cases_are_where_the_methods_differ(whole_run):
    run = read_task("qa", METHODS, SEEDS, whole_run)
    cases = most_different(analyse(run, STATISTICS), whole_run, 2)
    assert {case.dataset for case in cases} == {"Close", "Far"}
    for case in cases:
        scores = {output.score for output in case.outputs}
        assert scores == {0, 1} and [output.method for output in case.outputs] == METHODS
        assert case.question == f"What is <{case.id}> & so?" and len(case.context) <= 424


def test_a_case_by_id(whole_run):
    analysis = analyse(read_task("qa", METHODS, SEEDS, whole_run), STATISTICS)
    text = as_text(find(analysis, whole_run, "Far-3"))
    assert "Far-3" in text and "gold: seven" in text and "[expert 1]" in text
    with pytest.raises(ScoringError, match="ids look like Close-0, Far-0"):
        find(analysis, whole_run, "nothing")
