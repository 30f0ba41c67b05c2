import sys
from types import ModuleType

import pytest
import torch

from ptmoe.runtime.errors import TrainingError
from ptmoe.training.speed import speed_up
from tests.models.bases import tiny_base
from tests.training.world import TRAIN


def losses(log):
    return [float(line.split("\t")[1]) for line in log.splitlines()[2:]]


@pytest.mark.parametrize("method", ["ptmoe", "lora"])
def test_a_compiled_base_gives_the_same_losses(world, monkeypatch, method):
    """Traces as for a real compilation, then runs the graph as it is: generating code takes minutes on a CPU."""
    compile_module, compiled = torch.nn.Module.compile, []

    def without_code(module, **options):
        compiled.append(options)
        compile_module(module, backend="eager", **options)

    plain = losses(world.train(method, keep="last")[1])
    monkeypatch.setattr(torch.nn.Module, "compile", without_code)
    assert losses(world.train(method, compile=True, keep="last")[1]) == pytest.approx(plain, abs=1e-5)
    assert compiled == [{"dynamic": True}]


def test_gradient_checkpointing_computes_layers_twice(world, monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    forward, calls = LlamaMLP.forward, []

    def counted(self, *args, **kwargs):
        calls.append(torch.is_grad_enabled())
        return forward(self, *args, **kwargs)

    def steps(**changes):
        calls.clear()
        world.train("pt", steps=2, eval_steps=2, micro_batch_size=8, **changes)
        return len(calls)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    once = steps()
    # Two layers, two steps: each layer's forward runs once more in the backward pass.
    assert steps(gradient_checkpointing=True) == once + 4


def test_fused_kernels_are_put_into_the_base_where_there_are_some(monkeypatch):
    """The package needs a GPU; a module of its form stands for it."""
    with pytest.raises(TrainingError, match="not installed"):
        speed_up(tiny_base(), TRAIN.model_copy(update={"liger": True}))
    package, kernels = ModuleType("liger_kernel.transformers"), ModuleType("monkey_patch")
    calls = []
    kernels.MODEL_TYPE_TO_APPLY_LIGER_FN = {"llama": None}
    kernels._apply_liger_kernel_to_instance = lambda model, **options: calls.append((model, options))
    package.monkey_patch = kernels
    monkeypatch.setitem(sys.modules, "liger_kernel", ModuleType("liger_kernel"))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", package)
    base = tiny_base()
    speed_up(base, TRAIN.model_copy(update={"liger": True}))
    assert calls == [(base, {"fused_linear_cross_entropy": False})]
    with pytest.raises(TrainingError, match=r"no kernels for gpt_neox.*one of: llama"):
        speed_up(tiny_base("gpt_neox"), TRAIN.model_copy(update={"liger": True}))
