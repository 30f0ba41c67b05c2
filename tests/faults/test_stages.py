"""How a stage ends: with one line, and never with a result that its record does not describe."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptmoe.config.params import read_yaml
from ptmoe.config.plan import Plan, digest_of_code
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import ParamsError, PtmoeError, reported_to_user

PARAMS = {"qa.template": {"instruction": "", "input": "{question}", "cue": "Answer:"}}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dep").write_text("1")
    for folder in ("folder/qa", "code", "plan"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "folder" / "qa" / "a").write_text("1")
    (tmp_path / "code" / "a.py").write_text("1")
    plan = Plan("mini", PARAMS, {"code": digest_of_code(tmp_path / "code")}, ["dep", "folder/qa"])
    (tmp_path / "plan" / "one-qa.json").write_text(plan.text())
    return tmp_path


def run(project, change):
    with StageParams("one", {"task": "qa"}, project) as params:
        assert params.template.cue == "Answer:"
        change(project)


def replaced(file, old, new):
    def change(project):
        text = (project / file).read_text()
        assert old in text
        (project / file).write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replaced("plan/one-qa.json", "Answer:", "A:"), r"plan/one-qa.json changed while stage one@qa ran"),
        (replaced("code/a.py", "1", "2"), r"^code changed"),
        (lambda project: (project / "code" / "b.py").touch(), r"^code changed"),
        (replaced("dep", "1", "2"), r"dep changed"),
        (replaced("folder/qa/a", "1", "2"), r"folder/qa/a changed"),
        (lambda project: (project / "folder" / "qa" / "b").touch(), r"folder/qa/b changed"),
        (lambda project: (project / "dep").unlink(), r"dep changed"),
    ],
)
def test_an_edit_while_a_stage_runs_is_no_result(project, change, words):
    with pytest.raises(ParamsError, match=words):
        run(project, change)


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project / "params.yaml").touch(),
        lambda project: os.utime(project / "dep"),
        lambda project: (project / "folder" / "qa" / "__pycache__").mkdir(),
        lambda project: (project / "code" / "__pycache__").mkdir(),
    ],
)
def test_an_edit_of_what_the_stage_does_not_read_is_nothing(project, change):
    run(project, change)


def test_code_that_was_edited_after_the_plan_is_not_run(project):
    replaced("code/a.py", "1", "2")(project)
    with pytest.raises(ParamsError, match=r"^code changed since .*one-qa.json was made; run `dvc repro`"):
        run(project, lambda project: pytest.fail("it ran"))


def test_aliases_that_blow_up(tmp_path):
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    (tmp_path / "params.yaml").write_text("\n".join(lines))
    with pytest.raises(ParamsError, match=r"\*a0 in line 2 is an alias; write the value out"):
        read_yaml(tmp_path / "params.yaml")
    for opening in "[{":
        (tmp_path / "params.yaml").write_text("a: " + opening * 5000)
        with pytest.raises(ParamsError, match="is not valid YAML: values are nested over 50 deep"):
            read_yaml(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (PtmoeError("wrong"), 2, "error: wrong"),
        (OSError(28, "No space left on device", "models/x"), 2, "models/x: No space left on device; make room"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 2, "make room"),
        (MemoryError(), 2, "memory"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_one_line_for_what_is_no_fault_of_the_program(error, status, words, capsys):
    with pytest.raises(SystemExit) as stop, reported_to_user():
        raise error
    said = capsys.readouterr().err
    assert stop.value.code == status and words in said and said.count("\n") == 1


@pytest.mark.parametrize("where", ["import slow", "time.sleep(60)"])
def test_ctrl_c_is_one_line_also_during_imports(where, tmp_path):
    (tmp_path / "slow.py").write_text("import time; print('on', flush=True); time.sleep(60)")
    (tmp_path / "main.py").write_text(
        "import stages, time\nfrom ptmoe.runtime.errors import reported_to_user\n"
        f"with reported_to_user():\n    print('on', flush=True)\n    {where}\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    process = subprocess.Popen(
        [sys.executable, tmp_path / "main.py"],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "on\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "stopped\n" and process.returncode == 130
