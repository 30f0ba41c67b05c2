"""Embed one task's text, from which soft prompts start."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.cells import BASE_DIR, task_argument
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    task = task_argument(__doc__)
    with StageParams.running("init", {"task": task}) as params:
        text = params.init_text

        # Imported once the parameters are known to be good: it takes seconds.
        from ptmoe.tuning.text_init import write_text_init

        write_text_init(text, BASE_DIR, Path("models/init") / f"{task}.safetensors")


if __name__ == "__main__":
    with reported_to_user():
        main()
