"""Fill one task's template and tokenise it, once for all methods."""

from pathlib import Path

from ptmoe.config.cells import BASE_DIR
from ptmoe.config.stage import StageParams, run_stage


def main(params: StageParams) -> None:
    task, template, max_length = params.task, params.template, params.max_length
    from ptmoe.encoding.task import encode_task

    encode_task(task, template, max_length, Path("data/split") / task, BASE_DIR, Path("data/encoded") / task)


if __name__ == "__main__":
    run_stage("encode", main, "task")
