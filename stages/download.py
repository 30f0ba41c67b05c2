"""Fetch and verify the sources of one task."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.cells import task_argument
from ptmoe.config.stage import StageParams
from ptmoe.examples.download import download_task
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    task = task_argument(__doc__)
    with StageParams.running("download", {"task": task}) as params:
        download_task(task, params.data, params.mirror, Path("data/raw") / task)


if __name__ == "__main__":
    with reported_to_user():
        main()
