"""The sections of params.yaml that a stage may read: those that dvc.yaml declares for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptmoe.config.params import (
    BaseParams,
    DataParams,
    GenerateParams,
    Params,
    ScoreParams,
    StatisticsParams,
    TemplateParams,
    TrainParams,
    read_yaml,
)
from ptmoe.runtime.errors import ParamsError


class StageParams:
    """Hands out declared sections and records each one that was read.

    Args:
        stage: the stage's name in dvc.yaml.
        item: the values of its matrix axes, e.g. `{"task": "qa", "method": "pt"}`.
        root: the folder of dvc.yaml and params.yaml.

    Raises:
        ParamsError: params.yaml has faults; or, from a property, a section is not declared in dvc.yaml.
    """

    def __init__(self, stage: str, item: dict[str, str] | None = None, root: str | Path = ".") -> None:
        self._params = Params.load(Path(root) / "params.yaml")
        self._stage, self.item = stage, item or {}
        self.declared = declared_sections(stage, self.item, self.profile_name, Path(root))
        self.read: set[str] = set()

    @property
    def profile_name(self) -> str:
        # Not a declared section of its own: every section of a profile carries the profile's name.
        return self._params.grid.profile

    def _checked(self, section: str, value: Any) -> Any:
        if not any(section == path or section.startswith(f"{path}.") for path in self.declared):
            raise ParamsError(
                f"stage {self._stage} reads {section}, which dvc.yaml does not declare; add it to its params"
            )
        self.read.add(section)
        return value

    def _profile_section(self, *path: str) -> Any:
        value: Any = self._params.profile
        for part in path:
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        return self._checked(".".join(["profiles", self.profile_name, *path]), value)

    @property
    def tasks(self) -> list[str]:
        return self._checked("tasks", self._params.grid.tasks)

    @property
    def methods(self) -> list[str]:
        return self._checked("methods", self._params.grid.methods)

    @property
    def seeds(self) -> list[int]:
        return self._checked("seeds", self._params.grid.seeds)

    @property
    def statistics(self) -> StatisticsParams:
        return self._checked("statistics", self._params.grid.statistics)

    def _task_section(self, part: str) -> Any:
        return self._checked(f"{self.item['task']}.{part}", getattr(self._params.task(self.item["task"]), part))

    @property
    def template(self) -> TemplateParams:
        return self._task_section("template")

    @property
    def score(self) -> ScoreParams:
        return self._task_section("score")

    @property
    def init_text(self) -> str:
        return self._task_section("init_text")

    @property
    def method_blocks(self) -> dict[str, dict[str, Any]]:
        """The blocks of all methods, to be checked before any is trained; they do not affect results."""
        return self._params.methods

    @property
    def method(self) -> dict[str, Any]:
        return self._checked(self.item["method"], self._params.method(self.item["method"]))

    @property
    def base(self) -> BaseParams:
        return self._profile_section("base")

    @property
    def data(self) -> DataParams:
        return self._profile_section("data", self.item["task"])

    @property
    def mirror(self) -> str:
        return self._profile_section("mirror")

    @property
    def max_length(self) -> int:
        return self._profile_section("max_length", self.item["task"])

    @property
    def train(self) -> TrainParams:
        return self._profile_section("train")

    @property
    def batch_size(self) -> int:
        return self._profile_section("batch_size", self.item["task"])

    @property
    def learning_rate(self) -> float:
        return float(self._profile_section("learning_rate", self.item["method"]))

    @property
    def generate(self) -> GenerateParams:
        return self._profile_section("generate")

    @property
    def max_new_tokens(self) -> int:
        return self._profile_section("max_new_tokens", self.item["task"])


def declared_sections(stage: str, item: dict[str, str], profile: str, root: Path) -> set[str]:
    """Reads a stage's `params` list from dvc.yaml, with `${profile}` and `${item.*}` filled in."""
    stages = read_yaml(root / "dvc.yaml")["stages"]
    sections = set()
    for section in stages[stage].get("params", []):
        section = section.replace("${profile}", profile)
        for axis, value in item.items():
            section = section.replace(f"${{item.{axis}}}", value)
        sections.add(section)
    return sections
