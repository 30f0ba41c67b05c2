"""Fetch and verify the sources of one task."""

from __future__ import annotations

from pathlib import Path

from ptmoe.cells import task_argument
from ptmoe.data.download import download_task
from ptmoe.errors import reported_to_user
from ptmoe.stage import StageParams


def main() -> None:
    task = task_argument(__doc__)
    params = StageParams("download", {"task": task})
    download_task(task, params.data, params.mirror, Path("data/raw") / task)


if __name__ == "__main__":
    with reported_to_user():
        main()
