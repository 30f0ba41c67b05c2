"""`ptmoe search`: find each method's learning rate, with one grid for all, on the validation rows only."""

from __future__ import annotations

import argparse
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from ptmoe.base.compute import prepare_torch
from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.params import Params
from ptmoe.runtime.arguments import count
from ptmoe.runtime.errors import ParamsError, TrainingError
from ptmoe.runtime.files import write_text
from ptmoe.runtime.pool import in_processes
from ptmoe.runtime.progress import Progress, say
from ptmoe.scoring.registry import load_metric

if TYPE_CHECKING:
    from ptmoe.rows.encoded import Encoded, EncodedSet
    from ptmoe.training.job import TrainJob

GRID = "0.0003,0.001,0.003,0.01,0.03,0.1,0.3,1"
SCRATCH = Path(".checkpoints/search")


@dataclass(frozen=True)
class Trial:
    """One training run of the search."""

    task: str
    method: str
    learning_rate: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--methods", nargs="+", help="default: those of params.yaml that train something")
    parser.add_argument("--tasks", nargs="+", help="default: those of params.yaml")
    parser.add_argument("--grid", default=GRID, help=f"learning rates, separated by commas (default {GRID})")
    parser.add_argument("-j", "--jobs", type=count, default=os.cpu_count(), help="trials at once (default: all cores)")
    parser.add_argument("--output", type=Path, help="also write the table to this Markdown file")


def run(args: argparse.Namespace) -> None:
    """Trains every method with every learning rate on every task and prints the best of each method.

    The best rate has the highest mean, over tasks, of the headline metric on validation rows; ties go to the lowest
    rate. Test rows are never read.

    Raises:
        ParamsError: the grid is not a list of rates, or a name is unknown.
    """
    params = Params.load()
    rates = _rates(args.grid)
    tasks = args.tasks or params.grid.tasks
    methods = args.methods or [name for name in params.grid.methods if params.profile.learning_rate[name] > 0]
    for name in tasks:
        params.task(name)  # a mistyped name fails here, not after the first trials
    for name in methods:
        params.method(name)
    trials = [Trial(*values) for values in itertools.product(tasks, methods, rates)]
    say(f"{len(trials)} trials, {args.jobs} at once")
    scores: dict[Trial, float] = {}
    with Progress("Searching", len(trials), "trials") as progress:
        for trial, score in in_processes(partial(try_rate, params), trials, args.jobs):
            say(f"{trial.task} {trial.method} learning rate {trial.learning_rate:g}: {score:.1f}")
            progress.advance()
            scores[trial] = score
    table = markdown(scores, tasks, methods, rates)
    print(table)
    if args.output:
        write_text(args.output, table)


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate < math.inf for rate in rates):
        raise ParamsError(f"--grid {text!r}; allowed: numbers above 0, separated by commas")
    return rates


def try_rate(params: Params, trial: Trial) -> float:
    """Trains a method; returns the mean headline metric of greedy answers to the validation rows, in percent.

    It is 0 where training diverged.
    """
    prepare_torch(BASE_DIR)
    from ptmoe.rows.encoded import open_encoded
    from ptmoe.training.cell import TrainJob, train_cell
    from ptmoe.tuning.registry import method_params

    cell = Cell(trial.task, trial.method, 0)
    block = method_params(trial.method, params.method(trial.method))
    folder = SCRATCH / f"{cell.name}-{trial.learning_rate:g}"
    job = TrainJob.of_profile(params, cell, block, trial.learning_rate, folder)
    try:
        train_cell(job)
    except TrainingError:
        return 0.0
    headline = load_metric(params.task(job.task).score.metric).headline
    answers = scored_answers(job, params, [open_encoded(job.encoded_dir, "validation")])
    return 100 * mean(scores[headline] for _, _, scores in answers)


def scored_answers(
    job: TrainJob, params: Params, sets: Iterable[EncodedSet]
) -> Iterator[tuple[Encoded, dict[str, Any], Mapping[str, float]]]:
    """Answers sets of rows greedily with a trained adapter.

    Yields:
        each row, its answer as a user sees it, and its scores in 0..1.
    """
    from ptmoe.base.compute import make_accelerator
    from ptmoe.base.model import load_tokenizer, read_base_info
    from ptmoe.generation.decode import Decoder
    from ptmoe.tuning.opening import open_adapter

    score, generate, info = params.task(job.task).score, params.profile.generate, read_base_info(BASE_DIR)
    metric, tokenizer = load_metric(score.metric), load_tokenizer(BASE_DIR)
    model = open_adapter(job.adapter_dir, info, make_accelerator().device)
    decoder = Decoder(model, info, params.profile.max_new_tokens[job.task], generate.max_batch_tokens)
    for rows in sets:
        for answer in decoder.decode(rows, rows.prompt_lengths):
            row, shown = rows[answer.row], answer.shown(tokenizer)
            yield row, shown, metric.score_one(shown["prediction"], row.answers, score.rule_of(row.dataset))


def markdown(
    scores: Mapping[Trial, float], tasks: Sequence[str], methods: Sequence[str], rates: Sequence[float]
) -> str:
    """Makes a table with a line per method and task, and one for the mean whose best entry is bold."""
    lines = [
        f"| method | task | {' | '.join(f'{rate:g}' for rate in rates)} |",
        f"|---|---|{'---:|' * len(rates)}",
    ]
    for method in methods:
        means = [mean(scores[Trial(task, method, rate)] for task in tasks) for rate in rates]
        best = means.index(max(means))
        for task in tasks:
            row = [f"{scores[Trial(task, method, rate)]:.1f}" for rate in rates]
            lines.append(f"| {method} | {task} | {' | '.join(row)} |")
        shown = [f"**{value:.1f}**" if index == best else f"{value:.1f}" for index, value in enumerate(means)]
        lines.append(f"| {method} | mean | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"
