"""The converters by the names that sources.yaml uses."""

from __future__ import annotations

from ptmoe.data.converters.forms import Form
from ptmoe.data.converters.own import OWN

CONVERTERS: dict[str, tuple[Form, ...]] = {"own": OWN}
