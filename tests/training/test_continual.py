"""Tasks one after the other: frozen experts, resumed runs, and mistakes on the command line."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from ruamel.yaml import YAML

from ptmoe.cli import main
from ptmoe.config.params import read_yaml
from ptmoe.runtime.errors import ParamsError
from ptmoe.runtime.files import write_json
from ptmoe.training.loop import Loop
from ptmoe.tuning.adapters import read_adapter
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.conftest import ROOT
from tests.methods.cases import GROWING
from tests.models.bases import tiny_base
from tests.rows import list_rows, write_rows
from tests.training.world import PARAMS, TRAIN, random_rows

TASKS = ("qa", "math", "mixed")


class Killed(BaseException):
    pass


def write_parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"id": [r.id for r in rows], "dataset": [r.dataset for r in rows], "answers": [r.answers for r in rows]}
    pq.write_table(pa.table(columns | {"group": [f"g{number // 2}" for number in range(len(rows))]}), path)


@pytest.fixture
def project(world):
    """A project of three small tasks in the current folder."""
    tree = read_yaml(ROOT / "params.yaml")
    tree |= {"pt": PARAMS["pt"], "ptmoe": PARAMS["ptmoe"], "ptmoe_continual": GROWING, "tasks": list(TASKS)}
    tree |= {"methods": ["untuned", "pt"], "statistics": {"confidence": 0.95, "resamples": 100}}
    profile = tree["profiles"]["mini"]
    profile["train"] = TRAIN.model_dump()
    profile["steps"] = dict.fromkeys(profile["steps"], 6)
    profile["batch_size"] = dict.fromkeys(TASKS, 8)
    profile["max_new_tokens"] = dict.fromkeys(TASKS, 4)
    for number, task in enumerate(TASKS):
        tree[task]["score"] = {"metric": "qa", "rule": "mrqa"}
        encoded, split = Path("data/encoded") / task, Path("data/split") / task
        test, validation = random_rows(6, 20 + number, with_targets=False), random_rows(7, 30 + number)
        write_rows(encoded / "train.arrow", random_rows(24, 10 + number))
        write_rows(encoded / "validation.arrow", validation)
        write_rows(encoded / "test" / "A.arrow", test)
        list_rows(encoded)
        write_parquet(split / "test" / "A.parquet", test)
        write_parquet(split / "validation.parquet", validation)
        write_json(split / "datasets.json", {"A": {"domain": "in-domain", "rows": 6}})
        Path("models/init").mkdir(parents=True, exist_ok=True)
        shutil.copy(world.init_file, Path("models/init") / f"{task}.safetensors")
    shutil.copytree(world.base_dir, "models/base")
    YAML().dump(tree, Path("params.yaml"))
    return Path()


def adapters():
    return {folder.name: folder for folder in Path(".checkpoints/continual").glob("*/*") if folder.is_dir()}


def test_frozen_experts_do_not_move_and_an_interrupted_run_gives_the_same_file(project, monkeypatch, capsys):
    command = ["continual", "--tasks", "qa,math,mixed", "--seeds", "0,1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "learner" in out and "backward transfer" in out and "ptmoe_continual" in out
    files = [Path("continual") / f"results.{kind}" for kind in ("json", "svg", "png")]
    whole = [path.read_bytes() for path in files]
    found = json.loads(whole[0])
    assert list(found["learners"]) == ["pt", "ptmoe", "ptmoe_continual"]
    assert np.array(found["learners"]["pt"]["R"]).shape == (3, 3)

    earlier = [read_adapter(adapters()[f"{name}-ptmoe_continual-0"]) for name in ("qa", "qa+math", "qa+math+mixed")]
    assert [config.params["num_experts"] for config, _ in earlier] == [1, 2, 3]
    for (_, before), (_, after) in itertools.pairwise(earlier):
        assert all(after[name].numpy().tobytes() == value.numpy().tobytes() for name, value in before.items())
        assert len(after) == len(before) + 4
    qa, math = (read_adapter(adapters()[f"{name}-pt-0"])[1]["method.prompt"] for name in ("qa", "qa+math"))
    assert not torch.equal(qa, math)

    shutil.rmtree(".checkpoints")
    shutil.rmtree("continual")
    train_step, steps = Loop._train_step, []

    def step_or_die(loop, rows):
        steps.append(loop.step)
        if len(steps) in (5, 16, 50):
            raise Killed
        train_step(loop, rows)

    monkeypatch.setattr(Loop, "_train_step", step_or_die)
    for _ in range(3):
        with pytest.raises(Killed):
            main(command)
    assert main(command) == 0
    assert [path.read_bytes() for path in files] == whole
    # 18 runs of 6 steps; each death costs the steps since a checkpoint of two, and its own.
    assert len(steps) <= 18 * 6 + 3 * 2
    said = len(steps)
    assert main(command) == 0 and len(steps) == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "qa,maths"], "task 'maths' is unknown; did you mean math?"),
        (["--tasks", "qa"], "--tasks: got 'qa' alone; give two or more, in the order of learning"),
        (["--tasks", "qa,math,qa"], "argument --tasks: got 'qa,math,qa', where 'qa' is named twice"),
        (["--tasks", "qa,,math"], "argument --tasks: got 'qa,,math', where a name is empty"),
        (["--methods", "pt,ptmo"], "method 'ptmo' is unknown; did you mean ptmoe?"),
        (["--seeds", "0,x"], "argument --seeds: got '0,x'; allowed: whole numbers from 0, separated by commas"),
        (["--seeds", "0,0"], "argument --seeds: got '0,0', where '0' is named twice"),
    ],
)
def test_a_mistake_is_one_sentence(project, arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["continual", *arguments])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"error: {message}" in last


def test_an_expert_without_the_earlier_tasks_is_refused():
    from ptmoe.training.router_start import start_router

    model = PromptedLM.create(tiny_base(), "ptmoe_continual", GROWING | {"num_experts": 2})
    with pytest.raises(ParamsError, match="num_experts: got 2, but no earlier task was trained; set 1"):
        start_router(model, random_rows(8, 0), 0, seed=0, device=torch.device("cpu"))  # type: ignore[arg-type]


def test_the_nearest_mean_chooses_and_its_expert_counts_fully():
    model = PromptedLM.create(tiny_base(), "ptmoe_continual", GROWING | {"num_experts": 2})
    method = model.method.eval()
    means = torch.zeros(2, method.geometry.hidden_size)
    means[0, 0], means[1, 0] = 1.0, 3.0
    with torch.no_grad():
        for number, mean in enumerate(means):
            method.router_weight[number].copy_(mean)
            method.router_bias[number].copy_(-mean.square().sum() / 2)
    near = torch.zeros(3, 1, means.shape[1])
    near[:, 0, 0] = torch.tensor([0.5, 1.9, 2.1])
    weights, gates = method.weigh(near, torch.ones(3, 1))
    assert weights.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert gates.argmax(1).tolist() == [0, 0, 1]
    assert method.train().weigh(near, torch.ones(3, 1))[0].tolist() == [[0, 1]] * 3


def test_forgetting_is_zero_for_the_untuned_base_and_measured_on_the_other_tasks(project, capsys):
    from ptmoe.base.model import read_base_info
    from ptmoe.commands.forgetting import row_losses
    from ptmoe.tuning.opening import open_adapter

    train_cells(project)
    assert main(["forgetting", "--out", "forgetting.csv"]) == 0
    lines = [line.split(",") for line in Path("forgetting.csv").read_text().splitlines()]
    assert lines[0] == ["task", "method", "change", "low", "high"] and len(lines) == 7
    assert lines[1] == ["qa", "untuned", "+0.000", "+0.000", "+0.000"]
    info, cpu = read_base_info(Path("models/base")), torch.device("cpu")
    losses = [
        [row_losses(open_adapter(Path(f"models/qa-{method}-0"), info, cpu), task, info).mean() for task in TASKS[1:]]
        for method in ("pt", "untuned")
    ]
    assert lines[2][2] == f"{np.mean(losses[0]) - np.mean(losses[1]):+.3f}"


def train_cells(project):
    """Trains `untuned` and `pt` on every task as the pipeline would."""
    from ptmoe.training.cell import TrainJob, train_cell
    from ptmoe.tuning.registry import method_params

    for task in TASKS:
        for method in ("untuned", "pt"):
            train_cell(
                TrainJob(
                    task=task,
                    method_name=method,
                    seed=0,
                    method_params=method_params(method, PARAMS[method]),
                    train=TRAIN,
                    steps=2,
                    batch_size=8,
                    learning_rate=0.05,
                    base_dir=project / "models/base",
                    encoded_dir=project / "data/encoded" / task,
                    init_file=project / "models/init" / f"{task}.safetensors",
                    adapter_dir=project / "models" / f"{task}-{method}-0",
                    log_file=project / "logs" / f"{task}-{method}-0.tsv",
                )
            )
