"""What the processes of the distributed tests do; a module, so that they can import it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptmoe.runtime.errors import TrainingError
from ptmoe.training.cell import train_here
from ptmoe.training.job import TrainJob
from ptmoe.training.loop import Loop
from ptmoe.training.zero import ZeroEngine
from ptmoe.tuning import prompted_lm
from ptmoe.tuning.prompted_lm import PromptedLM


@dataclass
class Runs:
    """Cells to train one after the other.

    Attributes:
        cells: arguments of `train_cell`.
        die_at: the step at which a run ends without a word; 0 never.
        kill: whether process 1 of the last run is killed with SIGKILL at that step.
    """

    folder: Path
    cells: list[dict[str, Any]]
    die_at: int = 0
    kill: bool = False


class Killed(BaseException):
    pass


def count_moves(job: tuple[dict[str, Any], Path]) -> None:
    """Trains a cell and writes how often the whole model was moved to a device."""
    cell, file = job
    os.chdir(file.parent)
    moves: list[tuple] = []

    class Watched(PromptedLM):
        def to(self, *args: Any, **kwargs: Any) -> PromptedLM:
            moves.append(args)
            return super().to(*args, **kwargs)

    prompted_lm.PromptedLM = Watched
    train_here(TrainJob(**cell))
    if os.environ["RANK"] == "0":
        file.write_text(str(len(moves)))


def _partition_small_tensors() -> None:
    """Every tensor of the tests' base is so small that DeepSpeed would keep it whole on each process."""
    config = ZeroEngine._config

    def without_threshold(engine: ZeroEngine) -> dict[str, Any]:
        found = config(engine)
        found["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return found

    ZeroEngine._config = without_threshold  # type: ignore[method-assign]


def train_or_refuse(runs: Runs) -> None:
    """Trains each cell, or writes why it is refused beside its log."""
    os.chdir(runs.folder)
    _partition_small_tensors()
    for cell in runs.cells:
        try:
            train_here(TrainJob(**cell))
        except TrainingError as error:
            cell["log_file"].with_suffix(".refused").write_text(str(error))


def train_all(runs: Runs) -> None:
    os.chdir(runs.folder)
    _partition_small_tensors()
    train_step = Loop._train_step
    for number, cell in enumerate(runs.cells):

        def step_or_die(loop: Loop, rows: Any, last: bool = number == len(runs.cells) - 1) -> None:
            if loop.step + 1 == runs.die_at:
                if runs.kill and last and os.environ["RANK"] == "1":
                    os.kill(os.getpid(), signal.SIGKILL)
                if not (runs.kill and last):
                    raise Killed
            train_step(loop, rows)

        Loop._train_step = step_or_die  # type: ignore[method-assign]
        try:
            train_here(TrainJob(**cell))
        except Killed:
            pass
        finally:
            Loop._train_step = train_step  # type: ignore[method-assign]
