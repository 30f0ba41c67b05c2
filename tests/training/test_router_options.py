"""The routers' own rate, balance loss and temperature, for methods whose router starts and stays unfitted."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from ptmoe.runtime.errors import TrainingError
from ptmoe.training.cell import TrainJob, _make_engine, train_cell
from ptmoe.training.engine import Engine
from ptmoe.tuning.registry import method_params
from tests.methods.cases import CASES, batch, trained
from tests.training.world import TRAIN

RATE = 0.01


def moved(method: str, ratio: float) -> dict[bool, float]:
    """How far the weights inside and outside of routers move at most in a step of AdamW."""
    model = trained(method, router_learning_rate=ratio).train()
    engine = Engine(model, Accelerator(cpu=True), TRAIN.model_copy(update={"weight_decay": 0.0}), half=False)
    before = engine.trainable_state()
    engine.backward(model(**batch()).loss_sum, last=True)
    engine.step(RATE)
    moves: dict[bool, float] = {}
    for name, value in engine.trainable_state().items():
        router = model.method.is_router(name.removeprefix("method."))
        moves[router] = max(moves.get(router, 0.0), float((value - before[name]).abs().max()))
    return moves


@pytest.mark.parametrize("method", ["ptmoe", "smop", "attempt", "hydralora"])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_a_router_moves_at_its_own_rate(method, ratio):
    moves = moved(method, ratio)
    # The first step of AdamW is the rate itself, whatever the size of the gradient.
    assert moves[True] == pytest.approx(ratio * RATE, rel=0.01)
    assert moves[False] == pytest.approx(RATE, rel=0.01)


@pytest.mark.parametrize("method", ["ptmoe", "smop", "attempt"])
def test_a_balance_loss_changes_what_is_learnt(shared_world, tmp_path, method):
    learnt = set()
    for weight in (0.0, 1.0):
        cell = shared_world.writing_to(tmp_path).arguments("pt", str(weight), steps=2, micro_batch_size=8, keep="last")
        params = method_params(method, CASES[method] | {"balance_loss": weight})
        train_cell(TrainJob(**cell | {"method_name": method, "method_params": params}))
        learnt.add((cell["adapter_dir"] / "adapter_model.safetensors").read_bytes())
    assert len(learnt) == 2


def test_a_temperature_divides_the_logits_of_every_layer():
    cold, doubled = trained("hydralora", router_temperature=0.5), trained("hydralora")
    inputs = {name: value for name, value in batch().items() if name != "labels"}
    with torch.no_grad():
        assert not torch.equal(cold(**inputs).logits, doubled(**inputs).logits)
        for name, weight in doubled.named_parameters():
            if doubled.method.is_router(name):
                weight *= 2
        torch.testing.assert_close(cold(**inputs).logits, doubled(**inputs).logits)


@pytest.mark.parametrize("method", ["attempt", "hydralora"])
def test_deepspeed_refuses_a_rate_that_it_would_ignore(method):
    job = SimpleNamespace(train=TRAIN.model_copy(update={"deepspeed": "zero1"}), method_name=method)
    model = trained(method, router_learning_rate=0.5)
    info = SimpleNamespace(dtype="float32")
    with pytest.raises(TrainingError, match=f"zero1 moves every weight of {method} at one rate"):
        _make_engine(job, model, SimpleNamespace(num_processes=2), info)  # type: ignore[arg-type]
