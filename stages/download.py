"""Fetch and verify the sources of one task."""

from pathlib import Path

from ptmoe.config.stage import StageParams, run_stage
from ptmoe.examples.download import download_task


def main(params: StageParams) -> None:
    download_task(params.task, params.data, params.mirror, Path("data/raw") / params.task)


if __name__ == "__main__":
    run_stage("download", main, "task")
