"""A stage of dvc.yaml: its command line, and what its plan lets it read."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

import __main__
from ptmoe.config.cells import Cell
from ptmoe.config.faults import first_fault
from ptmoe.config.params import (
    BaseParams,
    DataParams,
    GenerateParams,
    ScoreParams,
    StatisticsParams,
    StepsParams,
    TemplateParams,
    TrainParams,
    steps_for,
)
from ptmoe.config.plan import Plan, digest_of_code, files_of, parse_stage, plan_file, stage_name
from ptmoe.runtime.arguments import Parser
from ptmoe.runtime.errors import ParamsError, reported_to_user
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.twins import only_one

Value = TypeVar("Value")
HASHED_BYTES = 1 << 20


class Section(Generic[Value]):
    """A section of params.yaml as an attribute of `StageParams`, at a place written as in stages/reads.yaml."""

    def __init__(self, place: str, kind: type[Value]) -> None:
        self._place, self._schema = place, TypeAdapter(kind)

    def __get__(self, params: StageParams, owner: type) -> Value:
        key, value = params.section(self._place)
        try:
            return self._schema.validate_python(value)
        except ValidationError as error:
            raise ParamsError(f"{params.file}: {key}: {first_fault(error)}; run `dvc repro -f plan`") from None


class StageParams:
    """Hands out the sections of params.yaml in a stage's plan and records each one that was read.

    As a context it refuses, at its end, a result whose inputs or code were edited meanwhile: DVC would record it as
    made from what is there by then. `running` also keeps a second process from the same outputs.

    Args:
        stage: the stage's name in dvc.yaml.
        item: the values of its matrix axes, e.g. `{"task": "qa", "method": "pt"}`.
        root: the folder of plan/.

    Raises:
        ParamsError: the stage has no plan; or, from an attribute, its plan lacks the section.
    """

    tasks = Section("tasks", list[str])
    methods = Section("methods", list[str])
    seeds = Section("seeds", list[int])
    statistics = Section("statistics", StatisticsParams)
    template = Section("{task}.template", TemplateParams)
    score = Section("{task}.score", ScoreParams)
    init_text = Section("{task}.init_text", str)
    method = Section("{method}", dict[str, Any])
    base = Section("profiles.{profile}.base", BaseParams)
    data = Section("profiles.{profile}.data.{task}", DataParams)
    mirror = Section("profiles.{profile}.mirror", str)
    max_length = Section("profiles.{profile}.max_length.{task}", int)
    train = Section("profiles.{profile}.train", TrainParams)
    batch_size = Section("profiles.{profile}.batch_size.{task}", int)
    _steps: Any = Section("profiles.{profile}.steps.{method}", StepsParams)  # type: ignore[arg-type]
    learning_rate = Section("profiles.{profile}.learning_rate.{method}", float)
    generate = Section("profiles.{profile}.generate", GenerateParams)
    max_new_tokens = Section("profiles.{profile}.max_new_tokens.{task}", int)

    def __init__(self, stage: str, item: dict[str, str] | None = None, root: str | Path = ".") -> None:
        self.item, self._root = item or {}, Path(root)
        self.name = stage_name(stage, self.item)
        self.file = self._root / plan_file(stage, self.item)
        self._plan = Plan.read(self.file)
        self.declared = set(self._plan.params)
        self.read: set[str] = set()

    @classmethod
    @contextmanager
    def running(cls, stage: str, item: dict[str, str] | None = None) -> Iterator[Self]:
        """Enters the context in the process that makes the stage's outputs.

        Raises:
            PtmoeError: another process makes them.
        """
        params = cls(stage, item)
        # Of this folder and not of `checkpoint_root`: an experiment in a copy of the project has its own outputs.
        with only_one(params.name, Path(".checkpoints") / f"{params.name}.lock"), params:
            yield params

    def __enter__(self) -> Self:
        edited = self._edited_code()
        if edited:
            raise ParamsError(f"{edited[0]} changed since {self.file} was made; run `dvc repro`, which makes it again")
        self._before = self._inputs()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        before, after = self._before, self._inputs()
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        changed = sorted([*changed, *self._edited_code()])
        if changed:
            more = f" and {len(changed) - 1} more" if changed[1:] else ""
            raise ParamsError(
                f"{changed[0]}{more} changed while stage {self.name} ran, so its result does not belong to the "
                f"current files; run `dvc repro` again, and edit after it ends"
            )

    def _edited_code(self) -> list[str]:
        return [path for path, digest in self._plan.code.items() if digest_of_code(self._root / path) != digest]

    def _inputs(self) -> dict[str, str]:
        """Returns the state of each file of the inputs: its bytes; of a large one size and time."""
        inputs = [self.file, *(self._root / path for path in self._plan.inputs)]
        return {str(file): _state(file) for path in inputs for file in files_of(path)}

    def section(self, place: str) -> tuple[str, Any]:
        """Returns key and value of a place, e.g. `profiles.{profile}.train`, and records that it was read."""
        key = place.format(profile=self._plan.profile, **self.item)
        if key not in self.declared:
            raise ParamsError(f"stage {self.name} reads {key}, which stages/reads.yaml does not name; add it there")
        self.read.add(key)
        return key, self._plan.params[key]

    @property
    def task(self) -> str:
        return self.item["task"]

    @property
    def cell(self) -> Cell:
        return Cell(self.task, self.item["method"], int(self.item["seed"]))

    @property
    def steps(self) -> int:
        return steps_for(self._steps, self.task)


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


def run_named(name: str) -> None:
    """Runs a stage by its name in DVC, e.g. `train@qa-pt-0`, in this process."""
    stage, item = parse_stage(name)
    work = importlib.import_module(f"stages.{stage}").main
    with StageParams.running(stage, item) as params:
        work(params)


def _state(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}" if stat.st_size > HASHED_BYTES else sha256_of(file)
