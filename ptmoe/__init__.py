"""PT-MoE and the methods that it is compared with, as a DVC pipeline and a library."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # On first use: importing the package must import neither torch nor datasets.
    if name == "PromptedLM":
        from ptmoe.tuning.prompted_lm import PromptedLM

        return PromptedLM
    if name == "load_examples":
        from ptmoe.examples.tables import load_examples

        return load_examples
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
