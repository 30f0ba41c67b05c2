"""The costs of a stage, which differ from run to run and so are kept out of the pipeline's outputs."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from ptmoe.runtime.files import write_json

FOLDER = Path(".costs")


def write_costs(name: str, **numbers: float | int | str) -> None:
    """Writes `.costs/<name>.json`."""
    write_json(FOLDER / f"{name}.json", numbers)


def peak_memory_bytes() -> int:
    """Returns the most memory that this process used: on the GPU where there is one, else in RAM."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
