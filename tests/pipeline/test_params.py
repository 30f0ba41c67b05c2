"""params.yaml: every fault is found before work starts, and says key, value and what is allowed."""

import copy

import pytest

from ptmoe.config.params import Params, read_yaml
from ptmoe.config.plan import Plan, make_plans, plan_file
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.registry import check_methods


@pytest.fixture
def tree(project_root):
    return copy.deepcopy(read_yaml(project_root / "params.yaml"))


def faults_of(tree) -> str:
    """The message of the file as a whole, or else that of the methods' own schemas."""
    with pytest.raises(ParamsError) as raised:
        check_methods(Params(tree).methods)
    return str(raised.value)


def test_shipped_file_is_valid_in_every_profile(tree):
    assert set(tree["profiles"]) == {"mini", "smollm2", "paper"}
    for profile in tree["profiles"]:
        params = Params(tree | {"profile": profile})
        assert check_methods(params.methods).keys() >= set(params.grid.methods)


def test_the_paper_trains_lora_for_fewer_steps_on_qa(tree):
    paper = Params(tree | {"profile": "paper"}).profile
    steps = {name: (paper.steps_of(name, "qa"), paper.steps_of(name, "math")) for name in ("lora", "hydralora", "pt")}
    assert steps == {"lora": (1000, 1500), "hydralora": (1000, 1500), "pt": (1500, 1500)}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("ptmoe", "num_experts"), "abc", ["ptmoe.num_experts", "'abc'"]),
        (("ptmoe", "num_experts"), 0, ["ptmoe.num_experts", "got 0", "1"]),
        (("ptmoe", "num_experts"), -1, ["ptmoe.num_experts", "got -1"]),
        (("ptmoe", "num_experts"), 2.5, ["ptmoe.num_experts", "2.5"]),
        (("ptmoe", "rank"), 0, ["ptmoe.rank", "got 0"]),
        (("ptmoe", "rank"), "automatic", ["ptmoe.rank", "'automatic'", "auto"]),
        (("ptmoe", "selective"), "yes", ["ptmoe.selective", "'yes'"]),
        (("ptmoe", "num_expert"), 2, ["ptmoe.num_expert", "unknown key"]),
        (("smop", "num_experts"), 3, ["smop", "3", "40", "divide"]),
        (("lora", "rank"), True, ["lora.rank", "True"]),
        (("profile",), "papr", ["profile", "'papr'", "mini", "paper"]),
        (("methods",), ["pt", "ptmeo"], ["methods", "'ptmeo'", "did you mean ptmoe"]),
        (("methods",), ["pt", "pt"], ["methods", "twice"]),
        (("tasks",), ["qq"], ["tasks", "'qq'"]),
        (("seeds",), [], ["seeds"]),
        (("seeds",), [0, 0], ["seeds", "0 is listed twice"]),
        (("seeds",), [0, "one"], ["seeds.1", "'one'"]),
        (("qa", "template", "input"), "no placeholder", ["qa.template.input", "question"]),
        (("profiles", "mini", "steps", "pt"), "many", ["profiles.mini.steps.pt", "'many'"]),
        (("profiles", "mini", "steps", "pt"), {"qa": -1}, ["profiles.mini.steps.pt.qa", "got -1"]),
        (("profiles", "mini", "steps", "pt"), {"qa": 9}, ["profiles.mini.steps.pt.math: missing"]),
        (("profiles", "mini", "train", "log_stepps"), 5, ["profiles.mini.train.log_stepps", "unknown key"]),
        (("statistics", "confidence"), 95, ["statistics.confidence", "95"]),
        (("ptmo",), {}, ["ptmo", "did you mean ptmoe"]),
    ],
)
def test_a_fault_names_key_value_and_what_is_allowed(tree, path, value, words):
    place = tree
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    message = faults_of(tree)
    for word in words:
        assert word in message


def test_all_faults_come_in_one_message(tree):
    tree["ptmoe"]["num_experts"] = "abc"
    tree["pt"]["prompt_length"] = 0
    del tree["lora"]["alpha"]
    message = faults_of(tree)
    assert "3 fault(s)" in message
    assert "lora.alpha: missing" in message


def test_a_task_needs_its_entries_in_the_profile(tree):
    tree["tasks"] = ["own"]
    tree["own"] = tree["qa"]
    message = faults_of(tree)
    assert "profiles.mini.data.own: missing" in message
    assert "profiles.mini.max_new_tokens.own: missing" in message


@pytest.mark.parametrize(("text", "words"), [(None, "missing"), ("a: [1", "not valid YAML"), ("- 1\n", "no mapping")])
def test_an_unreadable_file_is_one_message(tmp_path, text, words):
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ParamsError, match=words):
        Params.load(path)


def test_scientific_notation_is_a_number(tmp_path, project_root):
    # YAML 1.1 readers take 1e-05 for a string; `dvc exp run -S` writes numbers in this form.
    text = (project_root / "params.yaml").read_text().replace("pt: 0.00002", "pt: 2e-05")
    (tmp_path / "params.yaml").write_text(text)
    assert Params.load(tmp_path / "params.yaml").grid.profiles["paper"].learning_rate["pt"] == pytest.approx(2e-5)


def test_a_stage_cannot_read_what_its_plan_lacks(tmp_path):
    (tmp_path / "plan").mkdir()
    for stage, item in (("init", {"task": "qa"}), ("train", {"task": "qa", "method": "ptmoe", "seed": "0"})):
        (tmp_path / plan_file(stage, item)).write_text(Plan("mini", {"qa.init_text": "Answer."}, {}, []).text())
    params = StageParams("init", {"task": "qa"}, tmp_path)
    assert params.init_text == "Answer."
    with pytest.raises(
        ParamsError, match=r"init@qa reads profiles\.mini\.train, which stages/reads.yaml does not name"
    ):
        _ = params.train
    with pytest.raises(ParamsError, match=r"train-qa-ptmeo-0.json is missing; did you mean train-qa-ptmoe-0\?"):
        StageParams("train", {"task": "qa", "method": "ptmeo", "seed": "0"}, tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "Invalid JSON"), ("[]", "should be an object|dict"), ('{"profile": "mini"}', "params: Field required")],
)
def test_a_damaged_plan_is_one_sentence(content, words, tmp_path):
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "base.json").write_text(content)
    with pytest.raises(ParamsError, match=rf"base.json is damaged \(.*({words}).*\); run `dvc repro -f plan`"):
        StageParams("base", {}, tmp_path)


@pytest.mark.parametrize(
    ("reads", "words"),
    [
        ("a.zzz", r"^a.zzz is missing; add it, or name one of known$"),
        ("zzz.a", r"^zzz.a is missing; add it$"),
        ("ptmoe/zzz", r"reads.yaml names .*ptmoe/zzz, which does not exist"),
    ],
)
def test_a_plan_of_what_is_not_there(reads, words, tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "base.py").touch()
    (tmp_path / "stages" / "reads.yaml").write_text(f"base: [{reads}]")
    (tmp_path / "dvc.yaml").write_text("stages: {base: {cmd: x, deps: [plan/base.json]}}")
    with pytest.raises(ParamsError, match=words):
        make_plans({"profile": "mini", "a": {"known": 1}}, tmp_path)
