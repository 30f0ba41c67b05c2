"""Answer one task's test questions with one adapter, by greedy decoding."""

from pathlib import Path

from ptmoe.base.compute import prepare_torch
from ptmoe.config.cells import BASE_DIR
from ptmoe.config.stage import StageParams, run_stage


def main(params: StageParams) -> None:
    cell, generate, max_new_tokens = params.cell, params.generate, params.max_new_tokens
    prepare_torch(BASE_DIR)
    from ptmoe.generation.cell import GenerateJob, generate_cell

    generate_cell(
        GenerateJob(
            base_dir=BASE_DIR,
            encoded_dir=Path("data/encoded") / cell.task,
            adapter_dir=cell.adapter,
            generate=generate,
            max_new_tokens=max_new_tokens,
            out_file=cell.predictions,
        )
    )


if __name__ == "__main__":
    run_stage("generate", main, "task", "method", "seed")
