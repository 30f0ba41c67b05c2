"""params.yaml, validated as a whole, and handed to a stage only where dvc.yaml declares it.

A value that a stage reads but dvc.yaml does not declare would change a result without re-running the stage;
reading it is an error instead.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ptmoe.config.methods import SCHEMAS, Count, MethodParams, NonNegative, PeftParams, Real
from ptmoe.runtime.errors import ParamsError

Name = Annotated[StrictStr, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Amount = Annotated[StrictInt, Field(ge=0)]
Percent = Annotated[Real, Field(ge=0, le=100)]
Model = TypeVar("Model", bound=BaseModel)


class Block(BaseModel):
    """A mapping whose keys are all required and no others allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ScoreParams(Block):
    metric: Literal["qa", "math"]
    rule: Literal["mrqa", "numeric", "metamath"]

    @model_validator(mode="after")
    def _rule_fits_metric(self) -> Self:
        if (self.rule == "mrqa") != (self.metric == "qa"):
            raise ValueError(
                f"rule {self.rule} does not score metric {self.metric}; qa takes mrqa, math numeric or metamath"
            )
        return self


class TemplateParams(Block):
    instruction: StrictStr
    input: Annotated[StrictStr, Field(pattern=r"\{question\}")]
    cue: StrictStr


class TaskParams(Block):
    score: ScoreParams
    template: TemplateParams
    init_text: Annotated[StrictStr, Field(pattern=r"\S")]


class BaseParams(Block):
    name: StrictStr
    revision: StrictStr
    dtype: Literal["float32", "bfloat16", "float16"]
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    trust_remote_code: StrictBool


class ColumnParams(Block):
    """Which column of a table holds what; `answers.text` names a field inside a column."""

    question: StrictStr
    answers: StrictStr
    context: StrictStr = ""
    target: StrictStr = ""
    id: StrictStr = ""
    group: StrictStr = ""


class TableParams(Block):
    """A source in any form that `datasets` reads: a file, a folder, or an id on the Hub with its revision."""

    path: StrictStr
    columns: ColumnParams
    revision: StrictStr = ""
    name: StrictStr = ""
    split: StrictStr = ""


# A file of a form that the source's converter knows, or a table of any columns.
LocalParams = Annotated[
    Annotated[StrictStr, Tag("file")] | Annotated[TableParams, Tag("table")],
    Discriminator(lambda value: "file" if isinstance(value, str) else "table"),
]


class DataParams(Block):
    train: Annotated[list[Name], Field(min_length=1)]
    in_domain: list[Name]
    out_of_domain: list[Name]
    files: dict[Name, LocalParams]
    train_rows: Amount
    validation_rows: Count
    test_rows: Amount
    max_leakage: Percent


class TrainParams(Block):
    steps: Count
    eval_steps: Count
    save_steps: Count
    log_steps: Count
    keep: Literal["best", "last"]
    warmup_steps: Amount
    schedule: Literal["constant_with_warmup", "linear", "cosine"]
    weight_decay: NonNegative
    max_grad_norm: NonNegative
    micro_batch_size: Count
    gradient_checkpointing: StrictBool
    compile: StrictBool
    liger: StrictBool
    devices: Count | Literal["auto"]
    deepspeed: Literal["off", "zero1", "zero2", "zero3"]


class GenerateParams(Block):
    engine: Literal["ptmoe", "transformers"]
    forced_experts: StrictBool
    max_batch_tokens: Count
    devices: Count | Literal["auto"]


class Profile(Block):
    base: BaseParams
    data: dict[Name, DataParams]
    mirror: StrictStr
    max_length: dict[Name, Count]
    train: TrainParams
    batch_size: dict[Name, Count]
    learning_rate: dict[Name, NonNegative]
    generate: GenerateParams
    max_new_tokens: dict[Name, Count]


class StatisticsParams(Block):
    confidence: Annotated[Real, Field(gt=0.5, lt=1)]
    resamples: Annotated[StrictInt, Field(ge=100)]


class Grid(Block):
    """The axes of the run and what every run has."""

    profile: Name
    seeds: Annotated[list[Amount], Field(min_length=1)]
    tasks: Annotated[list[Name], Field(min_length=1)]
    methods: Annotated[list[Name], Field(min_length=1)]
    statistics: StatisticsParams
    profiles: Annotated[dict[Name, Profile], Field(min_length=1)]


def _value_at(tree: Any, location: tuple[int | str, ...]) -> Any:
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _problems(error: ValidationError, tree: Any, prefix: str) -> list[str]:
    """One line per faulty key: the key, its value, what is allowed."""
    allowed: dict[str, list[str]] = {}
    for fault in error.errors():
        # pydantic adds the branch of a union to the location; only what exists in the file is a key.
        location: tuple[int | str, ...] = ()
        for part in fault["loc"]:
            location = (*location, part) if _value_at(tree, (*location, part)) is not None else location
        key = ".".join([prefix, *map(str, location)]).strip(".")
        if fault["type"] == "missing":
            allowed[f"{key}.{fault['loc'][-1]}".strip(".")] = ["missing; add it"]
        elif fault["type"] == "extra_forbidden":
            allowed[key] = ["unknown key; remove it or correct its name"]
        elif fault["type"] == "value_error":
            allowed[key] = [fault["msg"].removeprefix("Value error, ")]
        else:
            rule = fault["msg"].removeprefix("Input should be ")
            allowed.setdefault(key, [f"got {_value_at(tree, location)!r}; allowed: "]).append(rule)
    return [f"{key}: {rules[0]}{' or '.join(dict.fromkeys(rules[1:]))}" for key, rules in allowed.items()]


def _validated(model: type[Model], tree: Any, prefix: str, problems: list[str]) -> Model | None:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems.extend(_problems(error, tree, prefix))
        return None


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}? " if close else ""


class Params:
    """The whole of params.yaml, valid.

    Raises:
        ParamsError: with every fault of the file in one message.
    """

    def __init__(self, tree: dict[str, Any], where: str = "params.yaml") -> None:
        problems: list[str] = []
        axes = {key: tree[key] for key in Grid.model_fields if key in tree}
        grid = _validated(Grid, axes, "", problems)
        self.blocks: dict[str, BaseModel | None] = {}
        for name in tree.keys() - axes.keys():
            self.blocks[name] = self._block(name, tree[name], problems)
        if grid is not None:
            self.grid = grid
            problems += self._cross_faults(grid)
        if problems:
            listed = "\n".join(f"  {line}" for line in sorted(problems))
            raise ParamsError(f"{where} has {len(problems)} fault(s):\n{listed}")

    @staticmethod
    def _block(name: str, tree: Any, problems: list[str]) -> BaseModel | None:
        if name in SCHEMAS:
            return _validated(SCHEMAS[name], tree, name, problems)
        if isinstance(tree, dict) and "peft_type" in tree:
            return _validated(PeftParams, tree, name, problems)
        if isinstance(tree, dict) and "template" in tree:
            return _validated(TaskParams, tree, name, problems)
        known = [*SCHEMAS, *Grid.model_fields]
        problems.append(
            f"{name}: {_suggestion(name, known)}not a method, a task (`template`) or a peft block (`peft_type`)"
        )
        return None

    def _cross_faults(self, grid: Grid) -> list[str]:
        faults = []
        if grid.profile not in grid.profiles:
            return [f"profile: got {grid.profile!r}; allowed: {', '.join(grid.profiles)}"]
        profile, path = grid.profiles[grid.profile], f"profiles.{grid.profile}"
        for axis, kind in (("tasks", TaskParams), ("methods", MethodParams)):
            values = getattr(grid, axis)
            known = [name for name, block in self.blocks.items() if isinstance(block, kind)]
            faults += [
                f"{axis}: got {value!r}, which has no block; {_suggestion(value, known)}allowed: {', '.join(known)}"
                for value in values
                if value not in self.blocks
            ]
            faults += [f"{axis}: {value!r} is listed twice" for value in {v for v in values if values.count(v) > 1}]
        needed = dict.fromkeys(grid.tasks, ("data", "max_length", "batch_size", "max_new_tokens"))
        needed |= dict.fromkeys(grid.methods, ("learning_rate",))
        for name, places in needed.items():
            faults += [
                f"{path}.{place}.{name}: missing; add it" for place in places if name not in getattr(profile, place)
            ]
        return faults

    @classmethod
    def load(cls, path: str | Path = "params.yaml") -> Self:
        """Reads and validates a file.

        Raises:
            ParamsError: the file is missing, is not YAML, or has faults.
        """
        return cls(read_yaml(path), str(path))

    @property
    def profile(self) -> Profile:
        return self.grid.profiles[self.grid.profile]

    def task(self, name: str) -> TaskParams:
        return self._named(name, TaskParams, "task")

    def method(self, name: str) -> MethodParams:
        return self._named(name, MethodParams, "method")

    def _named(self, name: str, kind: type[Model], what: str) -> Model:
        block = self.blocks.get(name)
        if not isinstance(block, kind):
            known = [key for key, value in self.blocks.items() if isinstance(value, kind)]
            raise ParamsError(f"{what} {name!r} is unknown; {_suggestion(name, known)}allowed: {', '.join(known)}")
        return block


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Reads a YAML 1.2 file whose top is a mapping.

    Raises:
        ParamsError: the file is missing or is not such a file.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(Path(path))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing; run from the project's root") from None
    except YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ParamsError(f"{path} holds no mapping; restore it with `git checkout {path}`")
    return tree
