"""Compare the methods: tables, figures, statistics and one page."""

from pathlib import Path

from ptmoe.config.stage import StageParams, run_stage
from ptmoe.reporting.report import write_report


def main(params: StageParams) -> None:
    write_report(
        tasks=params.tasks,
        methods=params.methods,
        seeds=params.seeds,
        statistics=params.statistics,
        root=Path(),
        out=Path("report"),
    )


if __name__ == "__main__":
    run_stage("report", main)
