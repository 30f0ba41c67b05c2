"""`ptmoe forgetting`: what each adapter does to the text of the other tasks.

The change of the loss on the validation rows of the other tasks against the untuned base, in nats a token over the
whole text, for each trained adapter of the run; above 0 is worse than untuned.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ptmoe.base.compute import prepare_torch
from ptmoe.base.model import read_base_info
from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.params import Params
from ptmoe.runtime.errors import ParamsError
from ptmoe.runtime.progress import Progress, say

if TYPE_CHECKING:
    import numpy as np

    from ptmoe.base.model import BaseInfo
    from ptmoe.tuning.prompted_lm import PromptedLM

PIECE_ROWS = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--out", type=Path, help="also write the table to this CSV file")


def run(args: argparse.Namespace) -> None:
    """Prints a line for each task and method, the mean over the other tasks with its interval.

    Raises:
        ParamsError: the run has one task only.
        AdapterError: a cell was not trained.
    """
    params = Params.load()
    grid, statistics = params.grid, params.grid.statistics
    if len(grid.tasks) < 2:
        raise ParamsError(f"tasks: got {grid.tasks}; forgetting needs two or more tasks in params.yaml")
    prepare_torch(BASE_DIR)
    import numpy as np

    from ptmoe.base.compute import make_accelerator
    from ptmoe.base.geometry import Geometry
    from ptmoe.base.model import load_base
    from ptmoe.reporting.numbers import as_text, write_csv
    from ptmoe.statistics.estimates import Resampling
    from ptmoe.tuning.method import Method, NoParams
    from ptmoe.tuning.opening import open_adapter
    from ptmoe.tuning.prompted_lm import PromptedLM

    info, device = read_base_info(BASE_DIR), make_accelerator().device
    base = load_base(BASE_DIR)
    untuned = PromptedLM(base, Method(NoParams(), Geometry.from_model(base))).to(device).eval()
    before = {task: row_losses(untuned, task, info) for task in grid.tasks}
    clusters = {task: _groups(task) for task in grid.tasks}
    lines = [["task", "method", "change", "low", "high"]]
    with Progress("Forgetting", len(grid.cells), "adapters") as progress:
        for task in grid.tasks:
            others = [other for other in grid.tasks if other != task]
            for method in grid.methods:
                changes: dict[str, list[np.ndarray]] = {other: [] for other in others}
                for seed in grid.seeds:
                    model = open_adapter(Cell(task, method, seed).adapter, info, device)
                    for other in others:
                        changes[other].append(row_losses(model, other, info) - before[other])
                    progress.advance()
                resampling = Resampling(
                    {other: np.stack(values) for other, values in changes.items()},
                    statistics.confidence,
                    statistics.resamples,
                    f"{task}/{method}/forgetting",
                    paired=True,
                    clusters=clusters,
                )
                found = resampling.estimate(dict.fromkeys(others, 1 / len(others)))
                lines.append([task, method, *(f"{value:+.3f}" for value in (found.value, found.low, found.high))])
    say(as_text(lines))
    if args.out:
        write_csv(args.out, lines[0], lines[1:])


def row_losses(model: PromptedLM, task: str, info: BaseInfo) -> np.ndarray:
    """Returns [n] the mean loss of each validation row's tokens, the first token left out, in nats."""
    import torch

    from ptmoe.rows.batches import IGNORED, collate
    from ptmoe.rows.encoded import open_encoded
    from ptmoe.tuning.prompted_lm import AnswerLoss

    rows, losses = list(open_encoded(Path("data/encoded") / task, "validation")), []
    for first in range(0, len(rows), PIECE_ROWS):
        batch = collate(rows[first : first + PIECE_ROWS], info.pad_token_id, loss_on="text").to(model.base.device)
        with torch.no_grad():
            output = model(**batch.as_dict())
        assert isinstance(output, AnswerLoss) and output.row_losses is not None
        losses.append(output.row_losses / (batch.labels[:, 1:] != IGNORED).sum(dim=1))
    return torch.cat(losses).double().cpu().numpy()


def _groups(task: str) -> np.ndarray:
    """Returns [n] the cluster of each validation row; the encoder may have left out rows of the split."""
    from ptmoe.rows.encoded import open_encoded
    from ptmoe.scoring.scores import read_table
    from ptmoe.statistics.clusters import numbered

    columns = ["dataset", "id", "group"]
    table = read_table(Path("data/split") / task / "validation.parquet", columns)
    dataset, key, group = (table[name].to_pylist() for name in columns)
    group_of = dict(zip(zip(dataset, key, strict=True), group, strict=True))
    rows = open_encoded(Path("data/encoded") / task, "validation")
    return numbered(group_of[row.dataset, row.id] for row in rows)
