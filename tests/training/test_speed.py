import pytest
import torch


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
