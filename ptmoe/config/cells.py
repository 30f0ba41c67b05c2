"""The files of one cell of the grid task x method x seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BASE_DIR = Path("models/base")


@dataclass(frozen=True)
class Cell:
    """One method trained on one task with one seed."""

    task: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.task}-{self.method}-{self.seed}"

    @property
    def item(self) -> dict[str, str]:
        """The values of the matrix axes in dvc.yaml."""
        return {"task": self.task, "method": self.method, "seed": str(self.seed)}

    @property
    def adapter(self) -> Path:
        return Path("models") / self.name

    @property
    def log(self) -> Path:
        return Path("logs") / f"{self.name}.tsv"

    @property
    def predictions(self) -> Path:
        return Path("predictions") / f"{self.name}.parquet"

    @property
    def scores(self) -> Path:
        return Path("scores") / self.task / f"{self.method}-{self.seed}.parquet"

    @property
    def metrics(self) -> Path:
        return Path("metrics") / self.task / f"{self.method}-{self.seed}.json"
