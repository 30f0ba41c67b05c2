"""Compare the methods: tables, figures, statistics and one page."""

from __future__ import annotations

from pathlib import Path

from ptmoe.config.stage import StageParams
from ptmoe.reporting.report import write_report
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    with StageParams.running("report") as params:
        write_report(
            tasks=params.tasks,
            methods=params.methods,
            seeds=params.seeds,
            statistics=params.statistics,
            root=Path(),
            out=Path("report"),
        )


if __name__ == "__main__":
    with reported_to_user():
        main()
