"""Score the predictions of one cell against the gold answers."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.cells import Cell
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user
from ptmoe.scoring.cell import score_cell


def main() -> None:
    cell = Cell.from_arguments(__doc__)
    with StageParams.running("score", cell.item) as params:
        score_cell(
            score=params.score,
            predictions=cell.predictions,
            split_dir=Path("data/split") / cell.task,
            metrics_out=cell.metrics,
            scores_out=cell.scores,
        )


if __name__ == "__main__":
    with reported_to_user():
        main()
