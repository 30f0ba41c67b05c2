"""The sections of params.yaml that a stage may read: those that dvc.yaml declares for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

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
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.twins import only_one

HASHED_BYTES = 1 << 20


class StageParams:
    """Hands out declared sections and records each one that was read.

    As a context it refuses, at its end, a result whose parameters or dependencies were edited meanwhile: DVC would
    record it as made from what is there by then. `running` also keeps a second process from the same outputs.

    Args:
        stage: the stage's name in dvc.yaml.
        item: the values of its matrix axes, e.g. `{"task": "qa", "method": "pt"}`.
        root: the folder of dvc.yaml and params.yaml.

    Raises:
        ParamsError: params.yaml has faults; or, from a property, a section is not declared in dvc.yaml.
    """

    def __init__(self, stage: str, item: dict[str, str] | None = None, root: str | Path = ".") -> None:
        self._root = Path(root)
        self._text = self._params_file.read_bytes() if self._params_file.is_file() else b""
        self._tree = read_yaml(self._params_file)
        self._params = Params(self._tree, str(self._params_file))
        self._stage, self.item = stage, item or {}
        entries = declared(stage, self.item, self.profile_name, self._root)
        self.declared, self._deps = entries["params"], entries["deps"]
        self.read: set[str] = set()

    @classmethod
    @contextmanager
    def running(cls, stage: str, item: dict[str, str] | None = None) -> Iterator[Self]:
        """Enters the context in the process that makes the stage's outputs.

        Raises:
            PtmoeError: another process makes them.
        """
        params = cls(stage, item)
        name = "@".join([stage, *(["-".join(params.item.values())] if params.item else [])])
        # Of this folder and not of `checkpoint_root`: an experiment in a copy of the project has its own outputs.
        with only_one(name, Path(".checkpoints") / f"{name}.lock"), params:
            yield params

    def __enter__(self) -> Self:
        self._before = self._inputs(self._tree)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        unchanged = self._params_file.is_file() and self._params_file.read_bytes() == self._text
        after = self._inputs(self._tree if unchanged else read_yaml(self._params_file))
        changed = sorted(key for key in self._before.keys() | after.keys() if self._before.get(key) != after.get(key))
        if changed:
            more = f" and {len(changed) - 1} more" if changed[1:] else ""
            raise ParamsError(
                f"{changed[0]}{more} changed while stage {self._stage} ran, so its result does not belong to the "
                f"current files; run `dvc repro` again, and edit after it ends"
            )

    @property
    def _params_file(self) -> Path:
        return self._root / "params.yaml"

    def _inputs(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Returns the values of the declared sections and the state of each file of the dependencies."""
        values = {f"params.yaml: {section}": _value_at(tree, section) for section in {"profile", *self.declared}}
        return values | {name: state for path in self._deps for name, state in _states(self._root / path)}

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
            if isinstance(value, dict) and part not in value:
                section = f"profiles.{self.profile_name}.{'.'.join(path)}"
                raise ParamsError(f"{section} is missing; add it, or name one of {', '.join(value)}")
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
    def steps(self) -> int:
        method, task = self.item["method"], self.item["task"]
        self._profile_section("steps", method)
        return self._params.profile.steps_of(method, task)

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


def declared(stage: str, item: dict[str, str], profile: str, root: Path) -> dict[str, set[str]]:
    """Reads a stage's `params` and `deps` from dvc.yaml, with `${profile}` and `${item.*}` filled in.

    Raises:
        ParamsError: dvc.yaml has no such stage.
    """
    stages = read_yaml(root / "dvc.yaml", aliases=True).get("stages")
    if not isinstance(stages, dict) or not isinstance(stages.get(stage), dict):
        raise ParamsError(f"dvc.yaml has no stage {stage}; restore it with `git checkout dvc.yaml`")
    known = {"profile": profile} | {f"item.{axis}": value for axis, value in item.items()}
    found: dict[str, set[str]] = {"params": set(), "deps": set()}
    for kind, entries in found.items():
        for entry in stages[stage].get(kind, []):
            for name, value in known.items():
                entry = entry.replace(f"${{{name}}}", value)
            entries.add(entry)
    return found


def _value_at(tree: Any, section: str) -> Any:
    for key in section.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _states(path: Path) -> Iterator[tuple[str, str]]:
    """Yields each file below a path with what tells that it changed: its bytes; of a large one size and time."""
    for file in [path] if path.is_file() else path.rglob("*"):
        # Neither compiled Python nor what is being written is a dependency.
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
            stat = file.stat()
            large = stat.st_size > HASHED_BYTES
            yield str(file), f"{stat.st_size} {stat.st_mtime_ns}" if large else sha256_of(file)
