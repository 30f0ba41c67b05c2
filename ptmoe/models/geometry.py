"""The sizes of a base model, read from its config alone."""

from __future__ import annotations
