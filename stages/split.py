"""Convert one task's sources to examples and split them by group."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.cells import task_argument
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user
from ptmoe.splitting.split import split_task


def main() -> None:
    task = task_argument(__doc__)
    with StageParams.running("split", {"task": task}) as params:
        split_task(task, params.data, Path("data/raw") / task, Path("data/split") / task)


if __name__ == "__main__":
    with reported_to_user():
        main()
