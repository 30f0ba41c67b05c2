"""`ptmoe continual`: tasks arrive one after the other; what does each learner keep of the earlier ones?"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.base.compute import prepare_torch
from ptmoe.base.model import read_base_info
from ptmoe.config.cells import BASE_DIR
from ptmoe.config.params import Params
from ptmoe.runtime.errors import ParamsError
from ptmoe.runtime.files import checkpoint_root, write_json
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    from ptmoe.reporting.cells import CellResult
    from ptmoe.tuning.method import MethodParams

SEQUENTIAL = ("pt", "ptmoe")


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "continual",
        help="learn tasks one after the other and measure what is forgotten",
        description="Each learner trains on the tasks in their order, and after each it answers the test questions of "
        "all. Finished steps are kept in .checkpoints/continual, so that an interrupted run goes on.",
    )
    parser.add_argument("--tasks", help="in the order of learning, separated by commas (default: those of params.yaml)")
    parser.add_argument(
        "--methods", help="learners (default: pt, ptmoe and each method of params.yaml that grows with the tasks)"
    )
    parser.add_argument("--seeds", help="separated by commas (default: those of params.yaml)")
    parser.add_argument("--out", type=Path, default=Path("continual"), help="folder to write (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains and answers what is missing; prints the tables and writes results.json and a figure.

    Raises:
        ParamsError: a task, method or seed is unknown or named twice, or there is only one task.
    """
    params = Params.load()
    tasks = listed("--tasks", args.tasks, params.grid.tasks)
    if len(tasks) < 2:
        raise ParamsError(f"--tasks: got {tasks[0]!r} alone; give two or more, in the order of learning")
    for task in tasks:
        params.task(task)
    seeds = _numbers(listed("--seeds", args.seeds, [str(seed) for seed in params.grid.seeds]))
    prepare_torch(BASE_DIR)
    from ptmoe.reporting import figures
    from ptmoe.reporting.continual import (
        Learned,
        as_json,
        compare_learners,
        estimates,
        figure,
        step_name,
        tables,
        task_run,
    )
    from ptmoe.scoring.cell import read_datasets
    from ptmoe.tuning.registry import check_methods, load_method

    blocks = check_methods(params.methods)
    growing = [name for name in blocks if load_method(name).task_key]
    learners = listed("--methods", args.methods, [*SEQUENTIAL, *growing])
    for name in learners:
        params.method(name)
    results: dict[str, dict[tuple[str, int], CellResult]] = {task: {} for task in tasks}
    for seed in seeds:
        for learner in learners:
            course, adapter = Course(params, learner, blocks[learner], seed, tasks), None
            for step in range(len(tasks)):
                adapter = course.learn(step, adapter)
                for task in tasks:
                    results[task][step_name(learner, step), seed] = course.answer(adapter, task)
    runs = [task_run(task, results[task], read_datasets(Path("data/split") / task)) for task in tasks]
    learned, statistics = Learned.of(runs, learners), params.grid.statistics
    measured = {learner: estimates(learned, learner, statistics) for learner in learners}
    comparisons = compare_learners(learned, statistics)
    content = {
        "profile": params.grid.profile,
        "tasks": tasks,
        "seeds": seeds,
        "metrics": dict(zip(tasks, learned.labels, strict=True)),
        "learners": as_json(measured),
        "comparisons": [
            {"first": each.first, "second": each.second, "difference": as_json(each.difference), "p": each.p_holm}
            for each in comparisons
        ],
    }
    write_json(args.out / "results.json", content)
    figures.save(figure(learned, measured), args.out / "results")
    say(tables(learned, measured))
    for each in comparisons:
        verdict = "differ" if each.beats(statistics.confidence) else "do not differ significantly"
        say(f"{each.first} and {each.second} {verdict}: {100 * each.difference.value:+.1f} points on average")
    say(f"{args.out / 'results.json'}, {args.out / 'results.svg'}")
    return 0


@dataclass(frozen=True)
class Course:
    """One learner with one seed on its way through the tasks; what it has done is kept under its fingerprint."""

    params: Params
    learner: str
    block: MethodParams
    seed: int
    tasks: list[str]

    def learn(self, step: int, earlier: Path | None) -> Path:
        """Trains on the task number `step` from the adapter of the step before; returns the adapter's folder."""
        from ptmoe.training.cell import TrainJob, train_cell
        from ptmoe.training.fingerprint import about
        from ptmoe.tuning.adapters import CONFIG_FILE
        from ptmoe.tuning.registry import load_method

        task, profile, key = self.tasks[step], self.params.profile, load_method(self.learner).task_key
        name = f"{'+'.join(self.tasks[: step + 1])}-{self.learner}-{self.seed}"
        job = TrainJob(
            task=task,
            method_name=self.learner,
            seed=self.seed,
            method_params=self.block.model_copy(update={key: step + 1} if key else {}),
            train=profile.train,
            steps=profile.steps_of(self.learner, task),
            batch_size=profile.batch_size[task],
            learning_rate=profile.learning_rate[self.learner],
            base_dir=BASE_DIR,
            encoded_dir=Path("data/encoded") / task,
            init_file=Path("models/init") / f"{task}.safetensors",
            adapter_dir=Path(name),
            log_file=Path(f"{name}.tsv"),
            start=earlier,
        )
        # A finished step is good on every machine, so neither the processes nor the device are part of its name.
        folder = _kept(about(job, read_base_info(BASE_DIR).fingerprint, 1, "any"))
        job = replace(job, adapter_dir=folder / name, log_file=folder / job.log_file)
        if not (job.adapter_dir / CONFIG_FILE).is_file():
            train_cell(job)
        return job.adapter_dir

    def answer(self, adapter: Path, task: str) -> CellResult:
        """Answers the test questions of a task where that is not done, and scores the answers."""
        from ptmoe.config.cells import Cell
        from ptmoe.generation.cell import GenerateJob, about, generate_cell
        from ptmoe.reporting.cells import CellResult
        from ptmoe.scoring.cell import score_cell
        from ptmoe.scoring.scores import read_scores

        job = GenerateJob(
            base_dir=BASE_DIR,
            encoded_dir=Path("data/encoded") / task,
            adapter_dir=adapter,
            generate=self.params.profile.generate.model_copy(update={"forced_experts": False}),
            max_new_tokens=self.params.profile.max_new_tokens[task],
            out_file=Path(f"{adapter.name}-on-{task}.parquet"),
        )
        folder = _kept(about(job, read_base_info(BASE_DIR).fingerprint))
        job = replace(job, out_file=folder / job.out_file)
        if not job.out_file.is_file():
            generate_cell(job)
        scores = folder / "scores.parquet"
        score_cell(
            self.params.task(task).score, job.out_file, Path("data/split") / task, folder / "metrics.json", scores
        )
        metric, table = read_scores(scores)
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        return CellResult(Cell(task, self.learner, self.seed), metric, columns)


def _kept(facts: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return checkpoint_root() / "continual" / digest[:16]


def listed(option: str, text: str | None, default: Sequence[str]) -> list[str]:
    """Reads names separated by commas; raises `ParamsError` where one is empty or named twice."""
    names = list(default) if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if not name or names.count(name) > 1:
            raise ParamsError(f"{option}: got {text!r}, where {name!r} is {'named twice' if name else 'no name'}")
    return names


def _numbers(names: Sequence[str]) -> list[int]:
    if not all(name.isascii() and name.isdecimal() and len(name) < 10 for name in names):
        raise ParamsError(f"--seeds: got {','.join(names)!r}; allowed: whole numbers from 0, separated by commas")
    return [int(name) for name in names]
