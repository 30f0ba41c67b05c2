"""A small run on disk: two tasks, four methods, two seeds; made up, and only for tests."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.config.params import ScoreParams, StatisticsParams
from ptmoe.reporting.ablation import Point
from ptmoe.scoring.cell import score_cell

METHODS, SEEDS = ["none", "good", "same", "routed"], [0, 1, 2]
SKILL = {"none": 0.05, "good": 0.9, "same": 0.5, "routed": 0.5}
SETS = {
    "qa": {"Close": ("in-domain", 40), "Far": ("out-of-domain", 30)},
    "math": {"Sums": ("in-domain", 40), "Mixed/Plus": ("out-of-domain", 20), "Mixed/Minus": ("out-of-domain", 20)},
}
TRAINING = {"qa": ["Close"], "math": ["Sums", "Mixed"]}
RULE = {"qa": "mrqa", "math": "numeric"}
STATISTICS = StatisticsParams(confidence=0.95, resamples=800)


def write_cell(root, task, method, seed):
    rng = np.random.default_rng([seed, METHODS.index(method), len(task)])
    rows = []
    for dataset, (_, number) in SETS[task].items():
        for index in range(number):
            right = rng.random() < SKILL[method]
            routed = method == "routed"
            row = {"id": f"{dataset}-{index}", "dataset": dataset, "prediction": "The answer is: 7" if right else "no"}
            if task == "qa":
                row["prediction"] = "seven" if right else "no"
            row["expert"] = int(dataset == "Far") if routed else None
            row["expert_probability"] = 0.75 if routed else None
            # The expert that was not chosen is right one time in five.
            other = row["prediction"] if rng.random() < 0.2 else "no"
            row["by_expert"] = [(other, row["prediction"])[row["expert"] == e] for e in (0, 1)] if routed else None
            rows.append(row | {"answers": ["seven" if task == "qa" else "7"], "new_tokens": 3, "finished": True})
    table = pa.Table.from_pylist(rows)
    columns = {"expert": pa.int32(), "expert_probability": pa.float32(), "by_expert": pa.list_(pa.string())}
    for name, kind in columns.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    path = root / "predictions" / f"{task}-{method}-{seed}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    metrics, scores = (root / kind / task / f"{method}-{seed}" for kind in ("metrics", "scores"))
    rule = ScoreParams(metric=task, rule=RULE[task])
    score_cell(rule, path, root / "data/split" / task, metrics.with_suffix(".json"), scores.with_suffix(".parquet"))
    adapter = root / "models" / f"{task}-{method}-{seed}"
    adapter.mkdir(parents=True)
    size = METHODS.index(method) * 1000
    config = {"trainable_parameters": size, "base": {"name": "tiny"}, "versions": {"torch": "2"}, "params": {}}
    if method == "routed":
        config["params"] = {"num_experts": 2}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "adapter_model.safetensors").write_bytes(b"0" * size)
    log = root / "logs" / f"{task}-{method}-{seed}.tsv"
    log.parent.mkdir(exist_ok=True)
    log.write_text("step\tloss\tvalidation_loss\tvalidation_exact\n0\t\t3\t0\n10\t2.0\t\t\n20\t1.5\t1.75\t0.4\n")


def ablation_points(method="ptmoe", published=math.nan):
    """Two settings in one task."""
    return [
        Point("qa", method, label, size, part, "f1", 50.0 + index, 40.0, 60.0, published, "tiny", "one")
        for label, size in (("1", 3000), ("4", None))
        for index, part in enumerate(("in-domain", "out-of-domain", "average"))
    ]


def write_split(root, task):
    split = root / "data/split" / task
    split.mkdir(parents=True)
    pq.write_table(pa.table({"dataset": TRAINING[task]}), split / "train.parquet")
    for dataset, (_, number) in SETS[task].items():
        path = split / "test" / f"{dataset}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = [f"{dataset}-{index}" for index in range(number)]
        answer = "seven" if task == "qa" else "7"
        columns = {"id": ids, "question": [f"What is <{name}> & so?" for name in ids], "answers": [[answer]] * number}
        columns["group"] = [f"{dataset}-{index // 2}" for index in range(number)]
        pq.write_table(pa.table(columns | {"context": ["A passage. " * 80] * number}), path)
    entries = {name: {"domain": domain, "rows": number} for name, (domain, number) in SETS[task].items()}
    (split / "datasets.json").write_text(json.dumps(entries))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """A run in which nothing is missing; not to be changed."""
    root = tmp_path_factory.mktemp("run")
    for task in SETS:
        write_split(root, task)
        for method in METHODS:
            for seed in SEEDS:
                write_cell(root, task, method, seed)
    return root
