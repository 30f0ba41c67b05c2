"""Fill one task's template and tokenise it, once for all methods."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.cells import BASE_DIR, task_argument
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    task = task_argument(__doc__)
    with StageParams.running("encode", {"task": task}) as params:
        template, max_length = params.template, params.max_length

        # Imported once the parameters are known to be good: it takes seconds.
        from ptmoe.encoding.task import encode_task

        encode_task(task, template, max_length, Path("data/split") / task, BASE_DIR, Path("data/encoded") / task)


if __name__ == "__main__":
    with reported_to_user():
        main()
