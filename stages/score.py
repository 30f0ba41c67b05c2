"""Score the predictions of one cell against the gold answers."""

from __future__ import annotations

from pathlib import Path

from ptmoe.cells import Cell
from ptmoe.errors import reported_to_user
from ptmoe.scoring.run import score_cell
from ptmoe.stage import StageParams


def main() -> None:
    cell = Cell.from_arguments(__doc__)
    params = StageParams("score", cell.item)
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
