"""What start, rate, refits and balance of a router are worth: `ptmoe_routed` with one of them changed, several seeds.

    dvc repro encode init
    python -m benchmarks.routing --output benchmarks/results/routing.json

Scores are exact matches of greedy answers to test rows, in percent; agreement is the adjusted mutual information of
expert and kind of question, in percent. Nothing is chosen by these scores.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from scipy.stats import t
from sklearn.metrics import adjusted_mutual_info_score

from ptmoe.base.compute import prepare_torch
from ptmoe.commands.search import scored_answers
from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.params import Params
from ptmoe.generation.cell import test_sets
from ptmoe.rows.encoded import open_encoded
from ptmoe.runtime.files import write_json
from ptmoe.runtime.pool import in_processes
from ptmoe.scoring.registry import load_metric
from ptmoe.training.cell import train_cell
from ptmoe.training.job import TrainJob
from ptmoe.tuning.registry import method_params

METHOD, SCRATCH = "ptmoe_routed", Path(".checkpoints/routing")
PRINTED = {"router_init": "default", "router_learning_rate": 1.0, "router_refits": []}
SETTINGS: dict[str, dict[str, Any]] = {
    "ptmoe_routed": {},
    "without refits": {"router_refits": []},
    "start: clusters, without refits": {"router_init": "clusters", "router_refits": []},
    "start: datasets, without refits": {"router_init": "datasets", "router_refits": []},
    "start: default, fixed, without refits": {"router_init": "default", "router_refits": []},
    "start: default, fixed, refits": {"router_init": "default"},
    "router's rate 0.01 of the prompt's": {"router_learning_rate": 0.01},
    "router's rate that of the prompt": {"router_learning_rate": 1.0},
    "balance loss 0.1 alone": PRINTED | {"balance_loss": 0.1},
    "all as printed": PRINTED,
}


def score(case: tuple[str, str, int]) -> dict[str, float]:
    """Trains one adapter, of a task, setting and seed, and answers the test rows."""
    task, setting, seed = case
    prepare_torch(BASE_DIR)
    params, cell = Params.load(), Cell(task, METHOD, seed)
    block = method_params(METHOD, params.method(METHOD) | SETTINGS[setting])
    folder = SCRATCH / f"{cell.name}-{list(SETTINGS).index(setting)}"
    job = TrainJob.of_profile(params, cell, block, params.profile.learning_rate[METHOD], folder)
    if not folder.exists():
        train_cell(job)
    metric = load_metric(params.task(task).score.metric)
    column = "em" if "em" in metric.columns else metric.headline
    scores, chosen = defaultdict(list), []
    sets = [open_encoded(job.encoded_dir, name) for name in test_sets(job.encoded_dir)]
    for row, shown, scored in scored_answers(job, params, sets):
        scores[row.dataset].append(100 * scored[column])
        chosen.append((row.dataset.removesuffix("_far"), shown["expert"]))
    means = {dataset: mean(found) for dataset, found in scores.items()}
    agreement = 100 * adjusted_mutual_info_score(*zip(*chosen, strict=True))
    return means | {"all": mean(means.values()), "agreement": agreement}


def summary(values: list[float]) -> str:
    """Returns the mean and its 95% interval over seeds, by Student's t."""
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{mean(values):.1f} +- {half:.1f}"


def main() -> None:
    """Runs the grid and prints, for each task and setting, scores and the difference to `ptmoe_routed` by seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["mixed"])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    grid = [(a, b, c) for a in options.tasks for b in options.settings for c in range(options.seeds)]
    found = dict(in_processes(score, grid, options.jobs))
    result: dict[str, Any] = {}
    for task in options.tasks:
        for setting in options.settings:
            seeds = [found[task, setting, seed] for seed in range(options.seeds)]
            first = [found[task, options.settings[0], seed] for seed in range(options.seeds)]
            line = {key: summary([each[key] for each in seeds]) for key in seeds[0]}
            gap = summary([each["all"] - other["all"] for each, other in zip(seeds, first, strict=True)])
            result[f"{task}, {setting}"] = line | {"to the first setting": gap, "seeds": seeds}
    print(json.dumps(result, indent=1))
    if options.output:
        write_json(options.output, result)


if __name__ == "__main__":
    main()
