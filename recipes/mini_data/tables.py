"""The word and sentence tables, YAML files beside the code."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def table(name: str) -> dict[str, Any]:
    """The content of `<name>.yaml` in this folder."""
    return YAML(typ="safe").load(Path(__file__).with_name(f"{name}.yaml"))
