"""SPoT: prompt tuning from a prompt trained on another task (Vu et al. 2022; google-research/prompt-tuning)."""

from __future__ import annotations

from pathlib import Path

from pydantic import StrictStr
from torch import Tensor

from ptmoe.runtime.errors import AdapterError
from ptmoe.tuning.adapters import read_adapter_config, read_adapter_tensors
from ptmoe.tuning.method import PromptParams, TextPrompt

_TENSOR = "method.prompt"
_SOURCES = ("pt", "spot")


class SpotParams(PromptParams):
    source: StrictStr


class SoftPromptTransfer(TextPrompt[SpotParams]):
    """One prompt [T, H]; `source` is the adapter folder of a `pt` or `spot` run with the same length and base."""

    schema = SpotParams

    def initialise(self, text_embeds: Tensor) -> None:
        """Takes the source's prompt; the text is not used.

        Raises:
            AdapterError: the source is missing, of another method, or of another size.
        """
        source = Path(self.params.source)
        method = read_adapter_config(source).method
        if method not in _SOURCES:
            raise AdapterError(f"spot.source {source} was trained with {method}; allowed: {', '.join(_SOURCES)}")
        prompt = read_adapter_tensors(source)[_TENSOR]
        if prompt.shape != self.prompt.shape:
            raise AdapterError(
                f"spot.source {source} holds a prompt of shape {list(prompt.shape)}, needs {list(self.prompt.shape)}; "
                f"set spot.prompt_length to the source's and use the same base"
            )
        self.prompt.data.copy_(prompt)


METHOD = SoftPromptTransfer
