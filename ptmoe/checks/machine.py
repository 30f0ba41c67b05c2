"""The machine and the project folder: libraries, Git and DVC, GPUs, disk."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptmoe.base.hub import local_folder
from ptmoe.config.params import Profile
from ptmoe.runtime.devices import visible_devices

NEEDED_GB = {"local": 2, "hub": 20}


@dataclass(frozen=True)
class Check:
    """One requirement of a run, e.g. `base model`, and what was found, with what to do about it.

    Attributes:
        state: `warning` where the run works, but see the advice; `missing` where it would fail.
    """

    what: str
    state: Literal["ok", "warning", "missing"]
    found: str


def machine_checks(profile: Profile) -> Iterator[Check]:
    """Makes all checks that need no network."""
    yield _libraries(profile)
    yield _project()
    yield _identity()
    yield _devices(profile)
    yield _disk(profile)


def _libraries(profile: Profile) -> Check:
    needed = {"torch", "transformers", "accelerate", "peft", "pyarrow", "dvc"}
    needed |= {"deepspeed"} if profile.train.deepspeed != "off" else set()
    needed |= {"liger-kernel"} if profile.train.liger else set()
    needed |= {"flash-attn"} if profile.base.attention == "flash_attention_2" else set()
    found, missing = [], []
    for name in sorted(needed):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("libraries", "missing", f"{', '.join(missing)}; run `pip install {' '.join(missing)}`")
    return Check("libraries", "ok", ", ".join(found))


def _project() -> Check:
    if missing := [name for name in (".git", ".dvc", "dvc.yaml") if not Path(name).exists()]:
        advice = "run in a clone of the project's repository"
        return Check("project", "missing", f"{', '.join(missing)} not found; {advice}")
    return Check("project", "ok", "Git, DVC and dvc.yaml are here")


def _identity() -> Check:
    if not shutil.which("git"):
        return Check("Git", "missing", "no `git` is on the PATH; install it")
    for key in ("user.name", "user.email"):
        if subprocess.run(["git", "config", key], capture_output=True).returncode:
            return Check("Git identity", "warning", f"`dvc exp run` needs it: git config --global {key} ...")
    return Check("Git identity", "ok", "set, so experiments can be recorded")


def _devices(profile: Profile) -> Check:
    gpus, wanted = len(visible_devices()), profile.train.devices
    if isinstance(wanted, int) and gpus and wanted > gpus:
        found = f"train.devices is {wanted}, but {gpus} GPUs are visible; lower it or use auto"
        return Check("devices", "missing", found)
    if not gpus and not local_folder(profile.base.name):
        return Check("devices", "warning", "no GPU is visible; a base from the Hub trains very slowly on a CPU")
    return Check("devices", "ok", f"{gpus} GPUs" if gpus else "no GPU; the CPU is used")


def _disk(profile: Profile) -> Check:
    needed = NEEDED_GB["local" if local_folder(profile.base.name) else "hub"]
    free = shutil.disk_usage(".").free / 1e9
    state = "ok" if free >= needed else "warning"
    return Check("disk", state, f"{free:.0f} GB free here; {needed} GB are advised for this profile")
