"""Train one method on one task with one seed."""

from __future__ import annotations

from pathlib import Path

from ptmoe.base.compute import prepare_torch
from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    cell = Cell.from_arguments(__doc__)
    with StageParams.running("train", cell.item) as params:
        prepare_torch(BASE_DIR)

        # Imported once the parameters are known to be good and torch is prepared: it takes seconds.
        from ptmoe.training.cell import TrainJob, train_cell
        from ptmoe.tuning.registry import check_methods, method_params

        check_methods(params.method_blocks)
        train_cell(
            TrainJob(
                task=cell.task,
                method_name=cell.method,
                seed=cell.seed,
                method_params=method_params(cell.method, params.method),
                train=params.train,
                steps=params.steps,
                batch_size=params.batch_size,
                learning_rate=params.learning_rate,
                base_dir=BASE_DIR,
                encoded_dir=Path("data/encoded") / cell.task,
                init_file=Path("models/init") / f"{cell.task}.safetensors",
                adapter_dir=cell.adapter,
                log_file=cell.log,
            )
        )


if __name__ == "__main__":
    with reported_to_user():
        main()
