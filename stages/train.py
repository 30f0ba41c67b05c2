"""Train one method on one task with one seed."""

from pathlib import Path

from ptmoe.base.compute import prepare_torch
from ptmoe.config.cells import BASE_DIR
from ptmoe.config.stage import StageParams, run_stage


def main(params: StageParams) -> None:
    cell = params.cell
    prepare_torch(BASE_DIR)
    from ptmoe.training.cell import TrainJob, train_cell
    from ptmoe.tuning.registry import method_params

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
    run_stage("train", main, "task", "method", "seed")
