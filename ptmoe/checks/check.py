"""One requirement of a run, and whether it is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        what: e.g. `base model`.
        state: `ok`, `warning` (the run works, but see the advice) or `missing` (the run would fail).
        found: the finding, and what to do about it.
    """

    what: str
    state: Literal["ok", "warning", "missing"]
    found: str
