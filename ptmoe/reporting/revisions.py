"""Which revisions hold a cell as given parameters and today's code make it: DVC's rule of what is up to date."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ptmoe.config.cells import Cell
from ptmoe.config.plan import filled, stage_name
from ptmoe.reporting.scored import Scored, read_finite
from ptmoe.runtime.errors import ScoringError

_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")


@dataclass(frozen=True)
class Revision:
    """HEAD or a DVC experiment."""

    name: str
    commit: str

    @cached_property
    def _stages(self) -> dict[str, str]:
        """The text of each stage in its dvc.lock; one is parsed only when it is asked for."""
        blocks = re.split(r"^  (?=\S)", _git("show", f"{self.commit}:dvc.lock"), flags=re.MULTILINE)[1:]
        return {head.rstrip(":"): body for head, _, body in (block.partition("\n") for block in blocks)}

    def stage(self, name: str) -> dict[str, Any] | None:
        """Returns what the lock records of a stage."""
        return _parsed(self._stages[name]) if name in self._stages else None


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
            found.append((int(time), Revision(name, commit)))
    return [revision for _, revision in sorted(found, key=lambda pair: -pair[0])]


def sha_of(text: str) -> str | None:
    """Returns the commit of a Git revision or DVC experiment, the newest of its name, or None."""
    commit = _git("rev-parse", "--verify", "--quiet", f"{text}^{{commit}}").strip()
    return commit or next((revision.commit for revision in revisions() if revision.name == text), None)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout


def read_if_there(cell: Cell, revision: str) -> Scored | None:
    """Reads a cell's scores of a revision from DVC's cache, or returns None."""
    from dvc.api import open as open_tracked
    from dvc.exceptions import DvcException

    commit = sha_of(revision)
    if commit is None:
        raise ScoringError(f"{revision!r} is neither a Git revision nor a DVC experiment; `dvc exp list` names them")
    try:
        with open_tracked(cell.scores.as_posix(), rev=commit, mode="rb") as file:
            return read_finite(io.BytesIO(file.read()))
    except (DvcException, FileNotFoundError):
        return None


def holds(
    revision: Revision,
    cell: Cell,
    stages: dict[str, Any],
    tree: dict[str, Any],
    planned: Mapping[str, str],
    hash_of: Callable[[str], str | None],
) -> bool:
    """Tells whether a revision's lock records what the cell's stages would be run with.

    Every stage must have been run with its plan, on files of today's content, and on what the other stages wrote in
    that revision.

    Args:
        stages: those of dvc.yaml that lead to the cell's scores.
        tree: params.yaml with the setting's values.
        planned: the MD5 of each plan's file for `tree`.
        hash_of: DVC's hash of a file or folder of the workspace.
    """
    locked = {name: revision.stage(stage_name(name, _item(stage, cell))) for name, stage in stages.items()}
    made = {out["path"]: out["md5"] for lock in locked.values() if lock for out in lock["outs"]}
    for name, stage in stages.items():
        paths = filled(stage["deps"], _item(stage, cell), tree)
        inputs = {path: planned.get(path) or made.get(path) or hash_of(path) for path in paths}
        lock = locked[name]
        if lock is None or inputs != {dep["path"]: dep.get("md5") for dep in lock["deps"]}:
            return False
    return True


def _item(stage: dict[str, Any], cell: Cell) -> dict[str, str]:
    return {axis: cell.item[axis] for axis in stage.get("matrix", {})}


def workspace_hashes() -> Callable[[str], str | None]:
    """Returns DVC's hash of a file or folder as it lies in the workspace, None for one that is not there."""
    from dvc.repo import Repo
    from dvc_data.hashfile.build import build
    from dvc_objects.fs.local import localfs

    project = Repo()
    ignored: Any = project.dvcignore

    @cache
    def hash_of(path: str) -> str | None:
        if not Path(path).exists():
            return None
        absolute = str(Path(path).absolute())
        built = build(project.cache.local, absolute, localfs, "md5", ignore=ignored, dry_run=True)
        return built[2].hash_info.value

    return hash_of
