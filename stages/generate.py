"""Answer one task's test questions with one adapter, by greedy decoding."""

from __future__ import annotations

from pathlib import Path

from ptmoe.base.compute import prepare_torch
from ptmoe.config.cells import BASE_DIR, Cell
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    cell = Cell.from_arguments(__doc__)
    with StageParams.running("generate", cell.item) as params:
        generate, max_new_tokens = params.generate, params.max_new_tokens
        prepare_torch(BASE_DIR)

        # Imported once the parameters are known to be good and torch is prepared: it takes seconds.
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
    with reported_to_user():
        main()
