"""Imports what the stages with a model need: `ptmoe sweep` forks their processes from one that has done this."""

import importlib
from contextlib import suppress

from ptmoe.base.compute import prepare_torch
from ptmoe.base.model import import_base
from ptmoe.config.cells import BASE_DIR
from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.imports import lasting_imports

NEEDED = (
    "ptmoe.cli",
    "ptmoe.encoding.task",
    "ptmoe.generation.session",
    "ptmoe.training.loop",
    "ptmoe.training.router_start",
    "ptmoe.tuning.opening",
    "accelerate",
    "pandas",
    "peft",
    "transformers.models.auto.tokenization_auto",
)

with suppress(PtmoeError), lasting_imports():  # each cell says itself what is wrong with the base
    prepare_torch(BASE_DIR)
    import_base(BASE_DIR)
    for name in NEEDED:
        importlib.import_module(name)
