"""A stage of dvc.yaml: its command line, its files, and the sections of params.yaml that it declares and may read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import __main__
from ptmoe.config.cells import Cell
from ptmoe.config.faults import value_at
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
from ptmoe.runtime.arguments import Parser
from ptmoe.runtime.errors import ParamsError, reported_to_user
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.twins import only_one

Value = TypeVar("Value")
HASHED_BYTES = 1 << 20


class Section(Generic[Value]):
    """A section of params.yaml as an attribute of `StageParams`, at a place written as in dvc.yaml."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __get__(self, params: StageParams, owner: type) -> Value:
        return params.section(self._place)


class StageParams:
    """Hands out declared sections and records each one that was read.

    As a context it refuses, at its end, a result whose parameters or dependencies were edited meanwhile: DVC would
    record it as made from what is there by then. `running` also keeps a second process from the same outputs.

    Args:
        stage: the stage's name in dvc.yaml.
        item: the values of its matrix axes, e.g. `{"task": "qa", "method": "pt"}`.
        root: the folder of dvc.yaml and params.yaml.

    Raises:
        ParamsError: params.yaml has faults; or, from an attribute, a section is not declared in dvc.yaml.
    """

    tasks = Section[list[str]]("tasks")
    methods = Section[list[str]]("methods")
    seeds = Section[list[int]]("seeds")
    statistics = Section[StatisticsParams]("statistics")
    template = Section[TemplateParams]("{task}.template")
    score = Section[ScoreParams]("{task}.score")
    init_text = Section[str]("{task}.init_text")
    method = Section[dict[str, Any]]("{method}")
    base = Section[BaseParams]("profiles.{profile}.base")
    data = Section[DataParams]("profiles.{profile}.data.{task}")
    mirror = Section[str]("profiles.{profile}.mirror")
    max_length = Section[int]("profiles.{profile}.max_length.{task}")
    train = Section[TrainParams]("profiles.{profile}.train")
    batch_size = Section[int]("profiles.{profile}.batch_size.{task}")
    learning_rate = Section[float]("profiles.{profile}.learning_rate.{method}")
    generate = Section[GenerateParams]("profiles.{profile}.generate")
    max_new_tokens = Section[int]("profiles.{profile}.max_new_tokens.{task}")

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
        sections = {"profile", *self.declared}
        values = {f"params.yaml: {section}": value_at(tree, section.split(".")) for section in sections}
        return values | {name: state for path in self._deps for name, state in _states(self._root / path)}

    @property
    def profile_name(self) -> str:
        # Not a declared section of its own: every section of a profile carries the profile's name.
        return self._params.grid.profile

    def section(self, place: str) -> Any:
        """Returns the section at a place, e.g. `profiles.{profile}.train`, and records that it was read."""
        path = place.format(profile=self.profile_name, **self.item)
        root, *parts = path.split(".")
        if place.startswith("{task}"):
            value: Any = self._params.task(self.task)
        elif place.startswith("{method}"):
            value = self._params.method(self.item["method"])
        else:
            value = getattr(self._params.grid, root)
        for part in parts:
            if isinstance(value, dict) and part not in value:
                raise ParamsError(f"{path} is missing; add it, or name one of {', '.join(value)}")
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        if not any(path == given or path.startswith(f"{given}.") for given in self.declared):
            raise ParamsError(
                f"stage {self._stage} reads {path}, which dvc.yaml does not declare; add it to its params"
            )
        self.read.add(path)
        return value

    @property
    def task(self) -> str:
        return self.item["task"]

    @property
    def cell(self) -> Cell:
        return Cell(self.task, self.item["method"], int(self.item["seed"]))

    @property
    def steps(self) -> int:
        self.section("profiles.{profile}.steps.{method}")
        return self._params.profile.steps_of(self.item["method"], self.task)

    @property
    def method_blocks(self) -> dict[str, dict[str, Any]]:
        """The blocks of all methods, to be checked before any is trained; they do not affect results."""
        return self._params.methods


def run_stage(stage: str, work: Callable[[StageParams], None], *axes: str) -> None:
    """Runs a stage's script for the values of its matrix axes on the command line.

    What takes seconds to import is imported by `work`, once the parameters are known to be good.
    """
    with reported_to_user():
        parser = Parser(description=__main__.__doc__)
        for axis in axes:
            parser.add_argument(f"--{axis}", required=True, type=int if axis == "seed" else str)
        item = {axis: str(value) for axis, value in vars(parser.parse_args()).items()}
        with StageParams.running(stage, item) as params:
            work(params)


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


def _states(path: Path) -> Iterator[tuple[str, str]]:
    """Yields each file below a path with what tells that it changed: its bytes; of a large one size and time."""
    for file in [path] if path.is_file() else path.rglob("*"):
        # Neither compiled Python nor what is being written is a dependency.
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
            stat = file.stat()
            large = stat.st_size > HASHED_BYTES
            yield str(file), f"{stat.st_size} {stat.st_mtime_ns}" if large else sha256_of(file)
