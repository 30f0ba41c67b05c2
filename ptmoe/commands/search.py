"""`ptmoe search`: the learning rate of each method, by the same grid for all, on the validation rows alone."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.params import Params
from ptmoe.runtime.errors import ParamsError, TrainingError
from ptmoe.runtime.files import write_text
from ptmoe.runtime.progress import Progress, say

GRID = "0.0003,0.001,0.003,0.01,0.03,0.1,0.3,1"
SCRATCH = Path(".checkpoints/search")


@dataclass(frozen=True)
class Trial:
    """One training run of the search."""

    task: str
    method: str
    learning_rate: float


@dataclass(frozen=True)
class Result:
    """What a trial reached on the validation rows.

    Attributes:
        score: the task's headline metric in percent; 0 where training diverged.
    """

    trial: Trial
    score: float


def register(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("search", help="find each method's learning rate on the validation rows")
    parser.add_argument("--methods", nargs="+", help="default: those of params.yaml that train something")
    parser.add_argument("--tasks", nargs="+", help="default: those of params.yaml")
    parser.add_argument("--grid", default=GRID, help=f"learning rates, separated by commas (default {GRID})")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="trials at once (default: one per core)")
    parser.add_argument("--output", type=Path, help="also write the table to this Markdown file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains every method with every learning rate on every task and prints the best of each method.

    The best has the highest mean over tasks of the headline metric on the validation rows; of equals, the lowest rate.
    Test rows are never read.

    Raises:
        ParamsError: the grid or a name is not usable.
    """
    params = Params.load()
    rates = _rates(args.grid)
    tasks = args.tasks or params.grid.tasks
    methods = args.methods or [name for name in params.grid.methods if params.profile.learning_rate[name] > 0]
    trials = [Trial(*values) for values in itertools.product(tasks, methods, rates)]
    for name in tasks:
        params.task(name)  # a mistyped name fails here, not after the first trials
    for name in methods:
        params.method(name)
    say(f"{len(trials)} trials of {params.profile.train.steps} steps, {args.jobs} at once")
    results = list(_results(trials, params, args.jobs))
    table = markdown(results, tasks, methods, rates)
    print(table)
    if args.output:
        write_text(args.output, table)
    return 0


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = []
    if not rates or min(rates) <= 0:
        raise ParamsError(f"--grid {text!r}; allowed: numbers above 0, separated by commas")
    return rates


def _results(trials: Sequence[Trial], params: Params, jobs: int) -> Iterator[Result]:
    # Processes are kept for many trials: importing the libraries takes longer than a short trial.
    spawn = multiprocessing.get_context("spawn")
    with Progress("Searching", len(trials), "trials") as progress, ProcessPoolExecutor(jobs, spawn) as pool:
        for future in as_completed([pool.submit(try_rate, trial, params) for trial in trials]):
            result = future.result()
            trial = result.trial
            say(f"{trial.task} {trial.method} learning rate {trial.learning_rate:g}: {result.score:.1f}")
            progress.advance()
            yield result


def try_rate(trial: Trial, params: Params) -> Result:
    """Trains one method with one learning rate and scores greedy answers to the validation rows."""
    from ptmoe.training.cell import train_cell

    cell, profile = Cell(trial.task, trial.method, 0), params.profile
    folder = SCRATCH / f"{cell.name}-{trial.learning_rate:g}"
    try:
        train_cell(
            task=trial.task,
            method_name=trial.method,
            seed=0,
            method_params=params.method(trial.method),
            train=profile.train,
            batch_size=profile.batch_size[trial.task],
            learning_rate=trial.learning_rate,
            base_dir=BASE_DIR,
            encoded_dir=Path("data/encoded") / trial.task,
            init_file=Path("models/init") / f"{trial.task}.safetensors",
            adapter_dir=folder,
            log_file=folder.with_suffix(".tsv"),
            adapter_note={},
        )
    except TrainingError:
        return Result(trial, 0.0)
    return Result(trial, _validation_score(trial, params, folder))


def _validation_score(trial: Trial, params: Params, adapter: Path) -> float:
    """Returns the mean headline metric of greedy answers to the validation rows, in percent."""
    from ptmoe.base.model import load_base, load_tokenizer, read_base_info
    from ptmoe.generation.decode import Decoder
    from ptmoe.rows.encoded import EncodedSet
    from ptmoe.scoring.metrics import HEADLINE, score_one
    from ptmoe.tuning.prompted_lm import PromptedLM

    task, profile = params.task(trial.task), params.profile
    info, tokenizer = read_base_info(BASE_DIR), load_tokenizer(BASE_DIR)
    decoder = Decoder(
        PromptedLM.load(adapter, load_base(BASE_DIR)),
        info.eos_token_ids,
        info.pad_token_id,
        profile.max_new_tokens[trial.task],
        profile.generate.max_batch_tokens,
    )
    rows = EncodedSet(Path("data/encoded") / trial.task / "validation.arrow")
    scores = []
    for answer in decoder.decode(rows, rows.prompt_lengths):
        text = str(tokenizer.decode(answer.tokens, skip_special_tokens=True)).strip()
        scores.append(score_one(task.score.metric, task.score.rule, text, rows[answer.row].answers))
    return 100 * mean(score[HEADLINE[task.score.metric]] for score in scores)


def markdown(results: Sequence[Result], tasks: Sequence[str], methods: Sequence[str], rates: Sequence[float]) -> str:
    """Makes a table with a line per method and task, and one for the mean whose best entry is bold."""
    score = {(r.trial.task, r.trial.method, r.trial.learning_rate): r.score for r in results}
    lines = [
        f"| method | task | {' | '.join(f'{rate:g}' for rate in rates)} |",
        f"|---|---|{'---:|' * len(rates)}",
    ]
    for method in methods:
        means = [mean(score[task, method, rate] for task in tasks) for rate in rates]
        best = means.index(max(means))
        for task in tasks:
            lines.append(f"| {method} | {task} | {' | '.join(f'{score[task, method, rate]:.1f}' for rate in rates)} |")
        shown = [f"**{value:.1f}**" if index == best else f"{value:.1f}" for index, value in enumerate(means)]
        lines.append(f"| {method} | mean | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"
