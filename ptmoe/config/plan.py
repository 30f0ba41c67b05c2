"""What each stage is run with: its parameters, its code and its inputs, one file a stage below plan/.

stages/reads.yaml names the code and the parameters, and in dvc.yaml the stage depends on its file: dvc.lock records one
checksum in place of a hundred lines, and a stage can read no parameter that it does not depend on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from ptmoe.config.faults import first_fault, suggestion, value_at
from ptmoe.config.params import read_yaml
from ptmoe.runtime.errors import ParamsError
from ptmoe.runtime.files import digest_of, sha256_of, whole_folder, write_text

FOLDER = Path("plan")
READS = Path("stages/reads.yaml")
AXES = ("task", "method", "seed")


@dataclass(frozen=True)
class Plan:
    """What one stage is run with.

    Attributes:
        profile: the profile's name.
        params: sections of params.yaml by their key.
        code: the digest of each file or folder of code.
        inputs: the files and folders that other stages or the user wrote.
    """

    profile: str
    params: dict[str, Any]
    code: dict[str, str]
    inputs: list[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a plan; raises `ParamsError` where there is none that `write_plans` wrote."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes(), strict=True)
        except FileNotFoundError:
            near = suggestion(path.stem, [other.stem for other in path.parent.glob("*.json")])
            raise ParamsError(f"{path} is missing; {near}run `dvc repro plan`, which plans every stage") from None
        except ValidationError as error:
            raise ParamsError(f"{path} is damaged ({first_fault(error)}); run `dvc repro -f plan`") from None

    def text(self) -> str:
        """Returns the content of its file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def stage_name(stage: str, item: Mapping[str, str]) -> str:
    """Names a stage as DVC does, e.g. `train@qa-pt-0`."""
    return f"{stage}@{'-'.join(item.values())}" if item else stage


def parse_stage(name: str) -> tuple[str, dict[str, str]]:
    """Reads what `stage_name` returned: the stage, and the values of its axes."""
    stage, _, values = name.partition("@")
    return stage, dict(zip(AXES, values.split("-"), strict=False)) if values else {}


def plan_file(stage: str, item: Mapping[str, str]) -> Path:
    """Returns where the plan of a stage is, e.g. `plan/train-qa-pt-0.json`."""
    return FOLDER / f"{'-'.join([stage, *item.values()])}.json"


def read_stages(root: Path = Path()) -> dict[str, Any]:
    """Reads the stages of dvc.yaml as they are written there.

    Raises:
        ParamsError: the file is missing or has none.
    """
    stages = read_yaml(root / "dvc.yaml", aliases=True).get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise ParamsError("dvc.yaml has no stages; restore it with `git checkout dvc.yaml`")
    return stages


def items(stage: Mapping[str, Any], tree: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yields the values of the matrix axes of a stage, e.g. `{"task": "qa", "method": "pt", "seed": "0"}`."""
    axes = {axis: tree[key.strip("${}")] for axis, key in stage.get("matrix", {}).items()}
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, map(str, values), strict=True))


def filled(texts: list[str], item: Mapping[str, str], tree: Mapping[str, Any]) -> list[str]:
    """Fills in `${profile}` and `${item.*}` as DVC does."""
    known = {"profile": tree["profile"]} | {f"item.{axis}": value for axis, value in item.items()}
    for name, value in known.items():
        texts = [text.replace(f"${{{name}}}", value) for text in texts]
    return texts


def make_plans(tree: Mapping[str, Any], root: Path = Path()) -> dict[Path, Plan]:
    """Returns the plan of each stage by its file, for the parameters `tree`.

    Raises:
        ParamsError: a section of params.yaml or a file of the code is missing.
    """
    code = cache(lambda path: digest_of_code(root / path))
    stages, reads = read_stages(root), read_yaml(root / READS)
    plans = {}
    for name, entries in reads.items():
        for item in items(stages[name], tree):
            deps = filled(stages[name]["deps"], item, tree)
            plans[plan_file(name, item)] = _plan(name, filled(entries, item, tree), deps, tree, code)
    return plans


def _plan(name: str, reads: list[str], deps: list[str], tree: Mapping[str, Any], code: Callable[[str], str]) -> Plan:
    params = {}
    for section in (entry for entry in reads if "/" not in entry):
        *above, key = section.split(".")
        block = value_at(tree, above)
        if not isinstance(block, dict) or key not in block:
            known = f", or name one of {', '.join(block)}" if isinstance(block, dict) else ""
            raise ParamsError(f"{section} is missing; add it{known}")
        params[section] = block[key]
    paths = [f"stages/{name}.py", *(entry for entry in reads if "/" in entry)]
    inputs = [path for path in deps if FOLDER not in Path(path).parents]
    return Plan(tree["profile"], params, {path: code(path) for path in paths}, inputs)


def write_plans(plans: Mapping[Path, Plan]) -> None:
    """Writes plan/ whole, without the files of an earlier plan."""
    with whole_folder(FOLDER) as folder:
        for path, plan in plans.items():
            write_text(folder / path.name, plan.text())


def digest_of_code(path: Path) -> str:
    """Returns what tells whether a file, or a file below a folder, was edited; compiled Python does not count.

    Raises:
        ParamsError: there is none.
    """
    if not path.exists():
        raise ParamsError(f"{READS} names {path}, which does not exist; correct it there or add the file")
    return digest_of({str(file.relative_to(path)): sha256_of(file) for file in files_of(path)})


def files_of(path: Path) -> Iterator[Path]:
    """Yields the files below a path that are a dependency: neither compiled Python nor what is being written."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith("."):
            yield file
