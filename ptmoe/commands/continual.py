"""`ptmoe continual`: learn tasks one after the other and measure what is forgotten.

Each learner trains on the tasks in their order, and after each it answers the test questions of all. Finished steps are
kept in .checkpoints/continual, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.base.compute import prepare_torch
from ptmoe.base.model import read_base_info
from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.params import Params
from ptmoe.runtime.arguments import names, seeds
from ptmoe.runtime.errors import ParamsError
from ptmoe.runtime.files import checkpoint_root, digest_of, write_json
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    import pandas as pd

    from ptmoe.tuning.method import MethodParams

SEQUENTIAL = ("pt", "ptmoe")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--tasks", type=names, help="in the order of learning, with commas (default: of params.yaml)")
    parser.add_argument(
        "--methods",
        type=names,
        help="learners (default: pt, ptmoe and each method of params.yaml that grows with the tasks)",
    )
    parser.add_argument("--seeds", type=seeds, help="with commas (default: those of params.yaml)")
    parser.add_argument("--out", type=Path, default=Path("continual"), help="folder to write (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Trains and answers what is missing; prints the tables and writes results.json and a figure.

    Raises:
        ParamsError: a task or method is unknown, or there is only one task.
    """
    params = Params.load()
    tasks, seeds = args.tasks or params.grid.tasks, args.seeds or params.grid.seeds
    if len(tasks) < 2:
        raise ParamsError(f"--tasks: got {tasks[0]!r} alone; give two or more, in the order of learning")
    scoring = [params.task(task).score for task in tasks]
    for learner in args.methods or ():
        params.method(learner)
    prepare_torch(BASE_DIR)
    from ptmoe.reporting import continual as measures
    from ptmoe.reporting import figures
    from ptmoe.reporting.scored import beside, by_dataset
    from ptmoe.scoring.registry import load_metric
    from ptmoe.statistics.clusters import clusters_of
    from ptmoe.tuning.registry import check_methods, load_method

    blocks = check_methods(params.methods)
    learners = args.methods or [*SEQUENTIAL, *(name for name in blocks if load_method(name).task_key)]
    metrics = [load_metric(score.metric) for score in scoring]
    steps = range(len(tasks))
    scores: dict[str, list[list[dict[int, pd.DataFrame]]]] = {
        learner: [[{} for _ in tasks] for _ in steps] for learner in learners
    }
    for seed in seeds:
        for learner in learners:
            adapter = None
            for step in steps:
                adapter = learn(params, tasks[: step + 1], learner, blocks[learner], seed, adapter)
                for number, task in enumerate(tasks):
                    scores[learner][step][number][seed] = answer(params, adapter, task)
    first = scores[learners[0]][0]
    learned = measures.Learned(
        tasks,
        {
            learner: [
                [by_dataset(beside(each, metric.headline)) for each, metric in zip(row, metrics, strict=True)]
                for row in matrix
            ]
            for learner, matrix in scores.items()
        },
        [clusters_of(each[seeds[0]]) for each in first],
        [metric.columns[metric.headline] for metric in metrics],
    )
    statistics = params.grid.statistics
    measured = {learner: measures.estimates(learned, learner, statistics) for learner in learners}
    comparisons = measures.compare_learners(learned, statistics)
    results = {
        "profile": params.grid.profile,
        "tasks": tasks,
        "seeds": seeds,
        "metrics": dict(zip(tasks, learned.labels, strict=True)),
        "learners": {
            learner: {name: measures.as_json(value) for name, value in each.items()}
            for learner, each in measured.items()
        },
        "comparisons": [
            {
                "first": each.first,
                "second": each.second,
                "difference": measures.as_json(each.difference),
                "p": each.p_holm,
            }
            for each in comparisons
        ],
    }
    write_json(args.out / "results.json", results)
    figures.save(measures.figure(learned, measured), args.out / "results")
    say(measures.tables(learned, measured))
    for each in comparisons:
        verdict = "differ" if each.beats(statistics.confidence) else "do not differ significantly"
        say(f"{each.first} and {each.second} {verdict}: {100 * each.difference.value:+.1f} points on average")
    say(f"{args.out / 'results.json'}, {args.out / 'results.svg'}")


def learn(params: Params, tasks: list[str], learner: str, block: MethodParams, seed: int, earlier: Path | None) -> Path:
    """Trains on the last of the tasks from the adapter of those before, where that is not done; returns the adapter."""
    from ptmoe.training.cell import TrainJob, train_cell
    from ptmoe.training.fingerprint import about
    from ptmoe.tuning.adapters import CONFIG_FILE
    from ptmoe.tuning.registry import load_method

    cell, key = Cell(tasks[-1], learner, seed), load_method(learner).task_key
    grown = block.model_copy(update={key: len(tasks)} if key else {})
    name = Path(f"{'+'.join(tasks)}-{learner}-{seed}")
    job = TrainJob.of_profile(params, cell, grown, params.profile.learning_rate[learner], name, earlier)
    # A finished step is good on every machine, so neither the processes nor the device are part of its folder.
    folder = _kept(about(job, read_base_info(BASE_DIR).fingerprint, 1, "any"))
    job = replace(job, adapter_dir=folder / name, log_file=folder / job.log_file)
    if not (job.adapter_dir / CONFIG_FILE).is_file():
        train_cell(job)
    return job.adapter_dir


def answer(params: Params, adapter: Path, task: str) -> pd.DataFrame:
    """Answers the test questions of a task, where that is not done; returns the scores of the answers."""
    from ptmoe.generation.cell import GenerateJob, about, generate_cell
    from ptmoe.reporting.scored import read_scored
    from ptmoe.scoring.cell import score_cell

    job = GenerateJob(
        base_dir=BASE_DIR,
        encoded_dir=Path("data/encoded") / task,
        adapter_dir=adapter,
        generate=params.profile.generate.model_copy(update={"forced_experts": False}),
        max_new_tokens=params.profile.max_new_tokens[task],
        out_file=Path(f"{adapter.name}-on-{task}.parquet"),
    )
    folder = _kept(about(job, read_base_info(BASE_DIR).fingerprint))
    job = replace(job, out_file=folder / job.out_file)
    if not job.out_file.is_file():
        generate_cell(job)
    split, scores = Path("data/split") / task, folder / "scores.parquet"
    score_cell(params.task(task).score, job.out_file, split, folder / "metrics.json", scores)
    return read_scored(scores).table


def _kept(facts: dict[str, Any]) -> Path:
    return checkpoint_root() / "continual" / digest_of(facts)
