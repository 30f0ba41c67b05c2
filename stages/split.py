"""Convert one task's sources to examples and split them by group."""

from __future__ import annotations

from pathlib import Path

from ptmoe.cells import task_argument
from ptmoe.data.split import split_task
from ptmoe.errors import reported_to_user
from ptmoe.stage import StageParams


def main() -> None:
    task = task_argument(__doc__)
    params = StageParams("split", {"task": task})
    split_task(task, params.data, Path("data/raw") / task, Path("data/split") / task)


if __name__ == "__main__":
    with reported_to_user():
        main()
