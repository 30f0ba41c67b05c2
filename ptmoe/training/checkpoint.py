"""Checkpoints: complete files with their digest, in a folder that records which run they belong to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.runtime.errors import CheckpointError
from ptmoe.runtime.files import checkpoint_root, digest_of, sha256_of, write_json
from ptmoe.runtime.progress import say

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 2
_ABOUT = "about.json"


class Checkpoints:
    """The checkpoints of one cell under one fingerprint.

    Args:
        cell: name of the cell.
        about: everything that determines the result; any difference gives another folder.
        main: whether this process is the one that writes.
    """

    def __init__(self, cell: str, about: dict[str, Any], main: bool = True) -> None:
        self._cell, self._about, self._main = cell, json.loads(json.dumps(about)), main
        self.folder = checkpoint_root() / f"{cell}-{digest_of(self._about)}"

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Returns tensors and state of the newest complete checkpoint, or None; prints which."""
        from safetensors import SafetensorError, safe_open

        if self._main:
            for left in self.folder.glob(".*.tmp"):  # by a process that was killed
                left.unlink()
        for path in self._files():
            try:
                if sha256_of(path)[:16] != path.stem.partition("-")[2]:
                    raise SafetensorError("its digest does not match")
                with safe_open(path, "pt") as file:
                    state = json.loads(file.metadata()["state"])
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            except (SafetensorError, OSError, KeyError, ValueError) as error:
                self._say(f"{path} is damaged ({error}); trying an older one")
                continue
            self._say(f"continuing from the checkpoint of step {state['step']}")
            return tensors, state
        self._say_why_none_fits()
        return None

    def save(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Writes a checkpoint, then removes all but the newest two.

        Raises:
            CheckpointError: it cannot be written.
        """
        if not self._main:
            return
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        temporary = self.folder / f".{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / _ABOUT, self._about)
            save_file(tensors, temporary, metadata={"state": json.dumps(state)})
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / f"{state['step']:08d}-{sha256_of(temporary)[:16]}.safetensors")
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            kept = next(self._files(), None)
            rest = f"{kept} is kept, and the next run continues from there" if kept else "there is none yet"
            raise CheckpointError(
                f"the checkpoint of step {state['step']} cannot be written to {self.folder} ({error}); "
                f"make room or remove old folders of {self.folder.parent}. Earlier checkpoint: {rest}"
            ) from None
        for path in list(self._files())[KEPT:]:
            path.unlink()

    def remove(self) -> None:
        """Removes this run's checkpoints; call it once the results are written."""
        if self._main:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> Iterator[Path]:
        return iter(sorted(self.folder.glob("*-*.safetensors"), reverse=True))

    def _say_why_none_fits(self) -> None:
        for about in sorted(self.folder.parent.glob(f"{self._cell}-*/{_ABOUT}")):
            try:
                other = json.loads(about.read_text(encoding="utf-8"))
            except ValueError:
                continue
            names = sorted(name for name in {*other, *self._about} if other.get(name) != self._about.get(name))
            if names:
                self._say(f"starting again: the checkpoint in {about.parent} differs in {', '.join(names)}")

    def _say(self, message: str) -> None:
        if self._main:
            say(f"{self._cell}: {message}")


def weights_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the trained weights among a checkpoint's tensors, by their own names."""
    return {name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")}
