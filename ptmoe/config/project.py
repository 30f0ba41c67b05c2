"""The params.yaml that a command uses when it needs no project."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def params_file() -> Path:
    """Returns the params.yaml of the project that is the current folder; elsewhere, the one that ptmoe came with.

    A wheel holds that file inside the package, a checkout beside it.
    """
    places = (Path("params.yaml"), PACKAGE / "params.yaml")
    return next((path for path in places if path.is_file()), PACKAGE.parent / "params.yaml")
