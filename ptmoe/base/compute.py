"""Fixes how torch computes, so that results are the same bytes everywhere; does not import torch by itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ptmoe.base.model import read_base_info
from ptmoe.runtime.imports import lasting_imports

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

SMALL_BASE_PARAMETERS = 20_000_000
_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def prepare_torch(base_dir: Path) -> None:
    """Fixes how the base model that `prepare_base` described is computed; call it before torch is imported."""
    prepare_torch_for(read_base_info(base_dir).parameters)


def prepare_torch_for(base_parameters: int) -> None:
    """Fixes how a base model with `base_parameters` parameters is computed; call it before torch is imported.

    A small base on a CPU uses one thread and the instructions of every x86-64 CPU since 2013: more threads do not
    make it faster, and sums do not depend on other processes. Two cells in parallel use two cores.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    small = base_parameters < SMALL_BASE_PARAMETERS
    if small and "torch" not in sys.modules:
        for name, value in _AVX2.items():
            os.environ.setdefault(name, value)
    with lasting_imports():
        import torch

    if small:
        torch.set_num_threads(1)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    if "RANK" in os.environ:  # else accelerate would set the number of threads itself
        os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())


def make_accelerator() -> Accelerator:
    """Joins the other processes, if there are any, and takes this one's device."""
    import torch
    from accelerate import Accelerator

    return Accelerator(cpu=not torch.cuda.is_available())


def is_widened(base: PreTrainedModel, dtype: str) -> bool:
    """Whether a method keeps all weights of a 16-bit base in float32, so as to train them."""
    import torch

    return dtype != "float32" and all(weight.dtype == torch.float32 for weight in base.parameters())
