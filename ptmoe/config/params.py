"""params.yaml, validated as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StrictBool, StrictInt, StrictStr, Tag
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from ptmoe.config.cells import Cell
from ptmoe.config.faults import refuse, suggestion, validated
from ptmoe.config.fields import Amount, Block, Count, Name, NonNegative, Percent, Positive, Real
from ptmoe.runtime.errors import ParamsError

METHODS = Path(__file__).parents[1] / "methods"
# Levels of a YAML file; ours have seven.
DEEPEST = 50


class ScoreParams(Block):
    """How a task is scored.

    Attributes:
        metric: a file of ptmoe/metrics.
        rule: the rule of that metric.
        dataset_rules: data set -> its own rule, where it differs.
    """

    metric: Name
    rule: Name
    dataset_rules: dict[StrictStr, Name] = Field(default_factory=dict)

    def rule_of(self, dataset: str) -> str:
        """Returns the rule that scores a data set."""
        return self.dataset_rules.get(dataset, self.rule)


class TemplateParams(Block):
    """The text of a prompt.

    Attributes:
        enable_thinking: the switch of that name in the base's chat template; absent, the template decides.
    """

    instruction: StrictStr
    input: Annotated[StrictStr, Field(pattern=r"\{question\}")]
    cue: StrictStr
    enable_thinking: StrictBool | None = None


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
    """The columns of a table; `answers.text` names a field inside a column."""

    question: Annotated[StrictStr, Field(min_length=1)]
    answers: Annotated[StrictStr, Field(min_length=1)]
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
    eval_steps: Count
    save_steps: Count
    log_steps: Count
    keep: Literal["best", "last"]
    warmup_steps: Amount
    schedule: Literal["constant_with_warmup", "linear", "cosine"]
    weight_decay: NonNegative
    max_grad_norm: NonNegative
    micro_batch_size: Count
    loss_on: Literal["answer", "text"]
    batches: Literal["grouped", "random"]
    gradient_checkpointing: StrictBool
    compile: StrictBool
    liger: StrictBool
    devices: Count | Literal["auto"]
    deepspeed: Literal["off", "zero1", "zero2", "zero3"]


# A method's optimiser steps: one number, or a number for each task.
StepsParams = Annotated[
    Annotated[Amount, Tag("number")] | Annotated[dict[Name, Amount], Tag("tasks")],
    Discriminator(lambda value: "tasks" if isinstance(value, dict) else "number"),
]


def steps_for(steps: int | dict[str, int], task: str) -> int:
    """Returns the number for one task of a method's `steps`."""
    return steps[task] if isinstance(steps, dict) else steps


class GenerateParams(Block):
    forced_experts: StrictBool
    max_batch_tokens: Count
    devices: Count | Literal["auto"]


class SlurmParams(Block):
    """What a job of `ptmoe sweep --slurm` asks for; no result depends on it."""

    # Below ten minutes nothing is left between the start of a job and the warning before its end.
    minutes: Annotated[StrictInt, Field(ge=10)]
    memory_gb: Positive
    cpus: Count
    gpus: Amount
    partition: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_.,-]*$")]


class Profile(Block):
    base: BaseParams
    data: dict[Name, DataParams]
    mirror: StrictStr
    max_length: dict[Name, Count]
    train: TrainParams
    steps: dict[Name, StepsParams]
    batch_size: dict[Name, Count]
    learning_rate: dict[Name, NonNegative]
    generate: GenerateParams
    max_new_tokens: dict[Name, Count]
    slurm: SlurmParams | None = None

    def steps_of(self, method: str, task: str) -> int:
        """Returns the optimiser steps of a method on a task."""
        return steps_for(self.steps[method], task)


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

    @property
    def cells(self) -> list[Cell]:
        """All cells of the run, in the order of DVC."""
        return [Cell(task, method, seed) for task in self.tasks for method in self.methods for seed in self.seeds]


class Params:
    """params.yaml, validated except for the methods' blocks, whose schemas are in the methods' files.

    Those are checked by `ptmoe.tuning.registry.check_methods`, which imports torch: stages without a model must not.

    Attributes:
        grid: the axes of the run and the profiles.
        tasks: the block of each task.
        methods: the raw block of each method.

    Raises:
        ParamsError: with every fault in one message.
    """

    def __init__(self, tree: dict[str, Any], where: str = "params.yaml") -> None:
        problems: list[str] = []
        axes = {key: tree[key] for key in Grid.model_fields if key in tree}
        grid = validated(Grid, axes, "", problems)
        self.where = where
        self.tasks: dict[str, TaskParams] = {}
        self.methods: dict[str, dict[str, Any]] = {}
        for name in tree.keys() - axes.keys():
            self._add_block(name, tree[name], problems)
        if grid is not None:
            self.grid = grid
            problems += self._cross_faults(grid)
        refuse(where, problems)

    def _add_block(self, name: str, tree: Any, problems: list[str]) -> None:
        known = known_methods()
        if isinstance(tree, dict) and (name in known or "peft_type" in tree):
            self.methods[name] = tree
        elif isinstance(tree, dict) and "template" in tree:
            self.tasks[name] = validated(TaskParams, tree, name, problems)  # type: ignore[assignment]
        elif name in known:
            problems.append(f"{name}: got {tree!r}; allowed: a mapping, {{}} for a method without parameters")
        else:
            hint = suggestion(name, [*known, *Grid.model_fields])
            problems.append(f"{name}: {hint}not a method, a task (`template`) or a peft block (`peft_type`)")

    def _cross_faults(self, grid: Grid) -> list[str]:
        faults = []
        for axis in ("seeds", "tasks", "methods"):
            values = getattr(grid, axis)
            faults += [f"{axis}: {value!r} is listed twice" for value in {v for v in values if values.count(v) > 1}]
        if grid.profile not in grid.profiles:
            return [*faults, f"profile: got {grid.profile!r}; allowed: {', '.join(grid.profiles)}"]
        profile, path = grid.profiles[grid.profile], f"profiles.{grid.profile}"
        for axis, blocks in (("tasks", self.tasks), ("methods", self.methods)):
            values = getattr(grid, axis)
            faults += [
                f"{axis}: got {value!r}, which has no block; {suggestion(value, blocks)}allowed: {', '.join(blocks)}"
                for value in values
                if value not in blocks
            ]
        needed = dict.fromkeys(grid.tasks, ("data", "max_length", "batch_size", "max_new_tokens"))
        needed |= dict.fromkeys(grid.methods, ("learning_rate", "steps"))
        for name, places in needed.items():
            faults += [
                f"{path}.{place}.{name}: missing; add it" for place in places if name not in getattr(profile, place)
            ]
        for name in grid.methods:
            steps = profile.steps.get(name)
            if isinstance(steps, dict):
                faults += [f"{path}.steps.{name}.{task}: missing; add it" for task in grid.tasks if task not in steps]
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
        return _named(self.tasks, name, "task")

    def method(self, name: str) -> dict[str, Any]:
        return _named(self.methods, name, "method")


def known_methods() -> list[str]:
    """Returns the names of all methods that have a file, without importing any."""
    return sorted(path.stem for path in METHODS.glob("[a-z]*.py"))


def _named(blocks: dict[str, Any], name: str, what: str) -> Any:
    if name not in blocks:
        hint = suggestion(name, blocks)
        raise ParamsError(f"{what} {name!r} is unknown; {hint}allowed: {', '.join(blocks)}")
    return blocks[name]


class _Composer(Composer):
    """Composes without aliases, a few lines of which can stand for any number of values, and bounds nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            alias = self.parser.peek_event()
            raise YAMLError(f"*{alias.anchor} in line {alias.start_mark.line + 1} is an alias; write the value out")
        if self.depth == DEEPEST:
            raise YAMLError(f"values are nested over {DEEPEST} deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_yaml(path: str | Path, aliases: bool = False) -> dict[str, Any]:
    """Reads a YAML 1.2 file whose top is a mapping.

    Args:
        path: the file.
        aliases: whether `*name` may repeat an earlier value, as in dvc.yaml.

    Raises:
        ParamsError: the file is missing or is not such a file.
    """
    reader = YAML(typ="safe", pure=True)
    if not aliases:
        reader.Composer = _Composer
    try:
        tree = reader.load(Path(path))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing; run from the project's root") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split()):.300}") from None
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise ParamsError(f"{path} holds no mapping of names; restore it with `git checkout {path}`")
    return tree
