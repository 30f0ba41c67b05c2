"""Embed one task's text, from which soft prompts start."""

from pathlib import Path

from ptmoe.config.cells import BASE_DIR
from ptmoe.config.stage import StageParams, run_stage


def main(params: StageParams) -> None:
    text = params.init_text
    from ptmoe.tuning.text_init import write_text_init

    write_text_init(text, BASE_DIR, Path("models/init") / f"{params.task}.safetensors")


if __name__ == "__main__":
    run_stage("init", main, "task")
