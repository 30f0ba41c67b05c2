"""Score the predictions of one cell against the gold answers."""

from pathlib import Path

from ptmoe.config.stage import StageParams, run_stage
from ptmoe.scoring.cell import score_cell


def main(params: StageParams) -> None:
    cell = params.cell
    score_cell(
        score=params.score,
        predictions=cell.predictions,
        split_dir=Path("data/split") / cell.task,
        metrics_out=cell.metrics,
        scores_out=cell.scores,
    )


if __name__ == "__main__":
    run_stage("score", main, "task", "method", "seed")
