"""Which revisions hold a cell as given parameters and today's code make it: DVC's rule of what is up to date."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ptmoe.config.cells import Cell

_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")


@dataclass(frozen=True)
class Revision:
    """HEAD or a DVC experiment.

    Attributes:
        stages: the text of each stage in its dvc.lock; one is parsed only when it is asked for.
    """

    name: str
    commit: str
    stages: dict[str, str]

    def stage(self, name: str) -> dict[str, Any] | None:
        """Returns what the lock records of a stage."""
        return _parsed(self.stages[name]) if name in self.stages else None


@cache
def _parsed(text: str) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(text)


def revisions() -> list[Revision]:
    """Returns HEAD and every experiment on any commit, the newest first."""
    listed = _git("for-each-ref", "--format=%(committerdate:unix) %(objectname) %(refname)", "refs/exps")
    lines = [*_git("log", "-1", "--format=%ct %H HEAD").splitlines(), *listed.splitlines()]
    found = []
    for time, commit, reference in (line.split() for line in lines):
        name = reference if reference == "HEAD" else "".join(_EXPERIMENT.findall(reference))
        if name:
            found.append((int(time), Revision(name, commit, _stages(_git("show", f"{commit}:dvc.lock")))))
    return [revision for _, revision in sorted(found, key=lambda pair: -pair[0])]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout


def _stages(lock: str) -> dict[str, str]:
    blocks = re.split(r"^  (?=\S)", lock, flags=re.MULTILINE)[1:]
    return {head.rstrip(":"): body for head, _, body in (block.partition("\n") for block in blocks)}


def holds(
    revision: Revision,
    cell: Cell,
    stages: dict[str, Any],
    tree: dict[str, Any],
    hash_of: Callable[[str], str | None],
) -> bool:
    """Tells whether a revision's lock records what the cell's stages would be run with.

    Every stage must have been run with the parameters of `tree`, on files of today's content, and on what the other
    stages wrote in that revision.

    Args:
        stages: those of dvc.yaml that lead to the cell's scores.
        tree: params.yaml with the setting's values.
        hash_of: DVC's hash of a file or folder of the workspace.
    """
    values = {"profile": tree["profile"], **{f"item.{axis}": value for axis, value in cell.item.items()}}
    axes = {name: "-".join(cell.item[axis] for axis in stage.get("matrix", {})) for name, stage in stages.items()}
    locked = {name: revision.stage(f"{name}@{axes[name]}" if axes[name] else name) for name in stages}
    made = {out["path"]: out["md5"] for lock in locked.values() if lock for out in lock["outs"]}
    return all(_up_to_date(stage, locked[name], values, tree, made, hash_of) for name, stage in stages.items())


def _up_to_date(
    stage: dict[str, Any],
    locked: dict[str, Any] | None,
    values: dict[str, str],
    tree: dict[str, Any],
    made: dict[str, str],
    hash_of: Callable[[str], str | None],
) -> bool:
    if locked is None:
        return False
    params = {key: at(tree, key) for key in _filled(stage.get("params", []), values)}
    inputs = {path: made.get(path) or hash_of(path) for path in _filled(stage["deps"], values)}
    recorded = {dep["path"]: dep.get("md5") for dep in locked["deps"]}
    return inputs == recorded and params == locked.get("params", {}).get("params.yaml", {})


def _filled(texts: list[str], values: dict[str, str]) -> list[str]:
    return [re.sub(r"\$\{(.+?)\}", lambda found: values[found[1]], text) for text in texts]


def at(tree: Any, key: str) -> Any:
    """Returns the value at a dotted key, or None."""
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def workspace_hashes() -> Callable[[str], str | None]:
    """Returns DVC's hash of a file or folder of the workspace, None for a missing one."""
    from dvc.fs import localfs
    from dvc.repo import Repo
    from dvc_data.hashfile.build import build

    project = Repo()

    @cache
    def hash_of(path: str) -> str | None:
        if not Path(path).exists():
            return None
        absolute = str(Path(path).absolute())
        built = build(project.cache.local, absolute, localfs, "md5", ignore=project.dvcignore, dry_run=True)
        return built[2].hash_info.value

    return hash_of
