"""Train one method on one task with one seed."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    cell = Cell.from_arguments(__doc__)
    params = StageParams("train", cell.item)
    settings = {
        "method_params": params.method,
        "train": params.train,
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "adapter_note": {"task": cell.task, "template": params.template.model_dump(), "init_text": params.init_text},
    }

    # Imported once the parameters are known to be good: it takes seconds.
    from ptmoe.training.cell import train_cell

    train_cell(
        task=cell.task,
        method_name=cell.method,
        seed=cell.seed,
        base_dir=BASE_DIR,
        encoded_dir=Path("data/encoded") / cell.task,
        init_file=Path("models/init") / f"{cell.task}.safetensors",
        adapter_dir=cell.adapter,
        log_file=cell.log,
        **settings,
    )


if __name__ == "__main__":
    with reported_to_user():
        main()
