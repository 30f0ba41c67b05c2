"""The pipeline as a user runs it: repro, experiments, queue, metrics, plots, and runs that are killed."""

import os
import re
import shutil
import signal
import time

import pytest

from ptmoe.runtime.files import sha256_of
from tests.faults.kills import campaign


def stages_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def contents(root, *folders):
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): sha256_of(path) for path in files}


def test_second_run_does_nothing_and_leaves_git_clean(small_run):
    assert not stages_run(small_run.dvc("repro"))
    assert small_run.git_status() == ""


def test_every_cell_has_its_files(small_run):
    for method in ("untuned", "pt", "ptmoe"):
        for path in (
            f"models/math-{method}-0/adapter_config.json",
            f"logs/math-{method}-0.tsv",
            f"predictions/math-{method}-0.parquet",
            f"scores/math/{method}-0.parquet",
            f"metrics/math/{method}-0.json",
        ):
            assert (small_run.root / path).is_file(), path


def test_one_changed_method_runs_its_cells_only_and_back_runs_nothing(small_run):
    output = small_run.dvc("exp", "run", "-S", "ptmoe.num_experts=4")
    of_cell = {f"{stage}@math-ptmoe-0" for stage in ("train", "generate", "score")}
    assert stages_run(output) == {"plan", *of_cell, "report"}
    difference = small_run.dvc("metrics", "diff", "HEAD", "--all")
    assert "metrics/math/ptmoe-0.json" in difference.replace(os.sep, "/")
    output = small_run.dvc("exp", "run", "-S", "ptmoe.num_experts=2")
    assert not stages_run(output)
    small_run.run("git", "checkout", "--quiet", ".")
    assert small_run.git_status() == ""


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("ptmoe.num_experts=abc", ["ptmoe.num_experts", "'abc'", "allowed"]),
        ("profiles.mini.train.eval_steps=0", ["profiles.mini.train.eval_steps", "got 0"]),
        ("math.score.rule=mrqa", ["metric 'math' has no rule 'mrqa'"]),
    ],
)
def test_a_wrong_value_stops_before_any_work(small_run, override, words):
    before = contents(small_run.root, "models", "predictions")
    output = small_run.dvc("exp", "run", "-S", override, status=None)
    # A failed experiment leaves its parameters in the workspace. Git compares sizes and whole seconds: it overlooks the
    # edit of a digit in the second in which DVC wrote Git's index, so `checkout` would leave it.
    (small_run.root / "params.yaml").unlink()
    small_run.run("git", "checkout", "--quiet", ".")
    small_run.dvc("checkout")
    for word in words:
        assert word in output
    assert "Traceback" not in output
    assert contents(small_run.root, "models", "predictions") == before


def test_a_mistyped_key_is_refused_by_dvc(small_run):
    output = small_run.dvc("exp", "run", "-S", "ptmoe.num_expert=4", status=255)
    assert "ptmoe.num_expert" in output


def test_temporary_and_queued_experiments(small_run):
    small_run.dvc("exp", "run", "--temp", "-n", "once", "-S", "ptmoe.rank=2")
    small_run.dvc("exp", "run", "--queue", "-n", "rank", "-S", "ptmoe.rank=3,4")
    small_run.dvc("queue", "start", "-j", "1")
    deadline_s = time.monotonic() + 240
    while "Running" in (status := small_run.dvc("queue", "status")) or "Queued" in status:
        assert time.monotonic() < deadline_s, status
        time.sleep(2)
    assert status.count("Success") == 2, status
    shown = small_run.dvc(
        "exp", "show", "--md", "--drop", ".*", "--keep", r"(Experiment|ptmoe\.rank|metrics/math/ptmoe-0.json:.*)"
    )
    for name in ("once", "rank-1", "rank-2"):
        assert name in shown
    assert small_run.git_status() == ""


def test_plots_and_metrics_are_shown(small_run):
    leaderboard = small_run.dvc("metrics", "show", "--md")
    for method in ("untuned", "pt", "ptmoe"):
        assert f"{method}-0.json" in leaderboard
    assert max(map(len, leaderboard.splitlines())) <= 120
    small_run.dvc("plots", "show", "-o", "plots")
    page = (small_run.root / "plots" / "index.html").read_text()
    assert "vega" in page and "math" in page
    shutil.rmtree(small_run.root / "plots")


KILLED = [
    "report",
    "score@math-ptmoe-0",
    "generate@math-ptmoe-0",
    "train@math-pt-0",
    "init@math",
    "encode@math",
    "base",
    "split@math",
    "download@math",
    "plan",
]


def kill(project, stage, after_s):
    """Runs one stage and kills it with everything that it started; tells whether its command was still running."""
    process = project.start("repro", "--force", "--single-item", stage)
    for line in process.stdout:
        if line.startswith("> "):
            break
    time.sleep(after_s)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def test_killed_stages_are_finished_by_the_next_run(small_run):
    """Every stage is killed, the last first, so that each still finds its inputs; one run then mends them all."""
    folders = ("plan", "data", "models", "logs", "predictions", "scores", "metrics", "report")
    before = contents(small_run.root, *folders)
    for stage in KILLED:
        # Half of what it took in the whole run; less where it is faster now.
        after_s = small_run.seconds[stage] / 2
        while not kill(small_run, stage, after_s):
            after_s /= 2
    assert contents(small_run.root, *folders) != before
    small_run.dvc("repro")
    assert contents(small_run.root, *folders) == before
    assert small_run.git_status() == ""


def test_a_run_killed_at_random_moments_ends_as_if_nobody_had(small_run, capsys):
    seen, lost = campaign(small_run, 3, seed=0)
    assert seen.total() == 3 and not lost, capsys.readouterr().out
