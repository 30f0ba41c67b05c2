"""Convert one task's sources to examples and split them by group."""

from pathlib import Path

from ptmoe.config.stage import StageParams, run_stage
from ptmoe.splitting.split import split_task


def main(params: StageParams) -> None:
    split_task(params.task, params.data, Path("data/raw") / params.task, Path("data/split") / params.task)


if __name__ == "__main__":
    run_stage("split", main, "task")
