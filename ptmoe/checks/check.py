"""One thing that a run needs, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """What was looked at.

    Attributes:
        what: e.g. `base model`.
        state: `ok`, `warning` (the run goes on, but look) or `missing` (the run would fail).
        found: what was found, and what to do about it.
    """

    what: str
    state: Literal["ok", "warning", "missing"]
    found: str
