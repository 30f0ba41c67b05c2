"""The `ptmoe` command: exit statuses, the doctor, the search's table and the sweep's summaries."""

import subprocess
import sys

import pytest

from ptmoe.cli import main
from ptmoe.commands.search import Trial, markdown
from ptmoe.commands.sweep import result
from ptmoe.config.params import Params
from ptmoe.runtime.devices import visible_devices


def test_every_subcommand_has_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    for command in ("budget", "score", "predict", "compare", "export", "sweep", "search", "ablate", "doctor"):
        assert f"    {command} " in listed


def test_help_loads_no_model_library(project_root):
    code = "import sys, ptmoe.cli; ptmoe.cli.build_parser(); print('torch' in sys.modules, 'dvc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=project_root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_users_mistake_is_one_message_with_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["report"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: params.yaml is missing; run from the project's root\n"


def test_doctor_finds_nothing_missing_for_the_default_run(project_root, monkeypatch, capsys):
    monkeypatch.chdir(project_root)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "nothing is missing" in out
    assert "  ok       ptmoe: 3,714 trainable parameters\n" in out


def test_outside_a_project_the_doctor_looks_at_the_default_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("  missing")] == ["  missing  project"]
    assert lines[0] == "no params.yaml here; these are the checks of the default run"


def test_outside_a_project_the_budget_is_that_of_the_default_run(project_root, tmp_path, monkeypatch, capsys):
    base = Params.load(project_root / "params.yaml").profile.base.name
    monkeypatch.chdir(tmp_path)
    assert main(["budget"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == f"{base}: 455,328 parameters"
    assert next(row for row in rows if row.startswith("ptmoe")).split()[4] == "3,714"


def test_without_git_the_question_about_a_revision_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["compare", "nothing", "nothing"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: this command asks Git, and no `git` is on the PATH; install it\n"
    main(["doctor"])
    assert "missing  Git: no `git` is on the PATH; install it" in capsys.readouterr().out


def test_doctor_says_what_the_paper_needs_without_internet(project_root, monkeypatch, capsys):
    monkeypatch.chdir(project_root)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["doctor", "--profile", "paper"]) == 1
    out = capsys.readouterr().out
    assert "missing  base model: meta-llama/Llama-3.2-1B-Instruct" in out
    assert "HF_HOME" in out


def test_the_search_prefers_the_best_mean_and_then_the_lower_rate():
    scores = {("a", 0.1): 50.0, ("a", 0.3): 60.0, ("b", 0.1): 50.0, ("b", 0.3): 40.0}
    found = {Trial(task, "pt", rate): score for (task, rate), score in scores.items()}
    table = markdown(found, ["a", "b"], ["pt"], [0.1, 0.3])
    assert "| pt | mean | **50.0** | 50.0 |" in table


def test_the_result_of_a_stage_is_what_it_said_last_about_itself():
    printed = ["  Training qa-pt-0: 33/160 steps", "qa-pt-0: step 1", "qa-pt-0: validation loss 0.06", "a warning"]
    assert result("train@qa-pt-0", printed) == "validation loss 0.06"
    assert result("split@qa", printed) == "done"


def test_visible_devices_follow_the_environment(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_devices() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []
