"""Routers that start from training rows: the right classes, the same start each time, and a rate of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from ptmoe.rows.batches import collate
from ptmoe.rows.encoded import Encoded
from ptmoe.training.engine import make_optimiser
from ptmoe.training.log import mutual_information, routing_sums
from ptmoe.training.router_start import STARTS, LossRefit, refit_router, start_router
from ptmoe.tuning.method import Routing
from ptmoe.tuning.router import balance_loss, masked_mean
from tests.methods.cases import fresh
from tests.training.world import END

KINDS = 4


def rows_of_kinds(count: int = 80, kinds: int = KINDS) -> list[Encoded]:
    """Rows whose kind is shown by one token of the prompt and decides the answer."""
    generator, rows = np.random.default_rng(0), []
    for number in range(count):
        kind = number % kinds
        prompt = np.concatenate([[1], generator.integers(20, 30, 6), np.full(4, 3 + kind)])
        ids = np.array([*prompt, 10 + kind, 10 + kind, END], dtype=np.int32)
        rows.append(Encoded(f"r{number}", f"kind{kind}", ids, len(prompt), 1, len(prompt), [f"w{10 + kind}"]))
    return rows


def chosen(model, rows: list[Encoded]) -> np.ndarray:
    """The expert of each row."""
    ids = torch.tensor(np.stack([row.input_ids[: row.prompt_length] for row in rows])).long()
    with torch.no_grad():
        embeds = model.base.get_input_embeddings()(ids)
        return model.method.eval().weigh(embeds, torch.ones_like(ids))[1].argmax(-1).numpy()


def started(method: str, init: str, kinds: int = KINDS, **changes):
    model = fresh(method, router_init=init, num_experts=KINDS, expert_init_noise=0.0, **changes)
    start_router(model, rows_of_kinds(kinds=kinds), 0, seed=0, device=torch.device("cpu"))  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("method", ["ptmoe_routed", "ptmoe_hierarchical"])
def test_a_start_from_data_sets_gives_each_its_expert(method):
    rows = rows_of_kinds()
    experts = chosen(started(method, "datasets"), rows)
    pairs = {(row.dataset, expert) for row, expert in zip(rows, experts.tolist(), strict=True)}
    assert len(pairs) == KINDS == len(set(experts.tolist()))


def test_a_start_from_gradients_finds_the_kinds_without_their_names():
    # The base is a random one, whose gradients say less than those of a trained one.
    rows = rows_of_kinds(400, kinds=2)
    model = fresh("ptmoe_routed", router_init="gradients", num_experts=2, expert_init_noise=0.0)
    start_router(model, rows, 0, seed=0, device=torch.device("cpu"))  # type: ignore[arg-type]
    agreement = (chosen(model, rows) == np.arange(len(rows)) % 2).mean()
    assert max(agreement, 1 - agreement) > 0.9


def test_every_start_is_the_same_each_time():
    for init in STARTS:
        first, second = (started("ptmoe_routed", init).method.router.linear for _ in range(2))
        assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)


@pytest.mark.parametrize("kinds", [1, 2, 7])
def test_more_and_fewer_data_sets_than_experts_leave_no_expert_without_rows(kinds):
    experts = chosen(started("ptmoe_routed", "datasets", kinds), rows_of_kinds(kinds=kinds))
    assert set(experts.tolist()) == set(range(KINDS))


def test_the_regression_is_the_same_with_its_standardisation_folded_in():
    model = fresh("ptmoe_routed", router_init="datasets", num_experts=2)
    start = STARTS["datasets"](model, rows_of_kinds(kinds=2), 0, 0)
    weight, bias = start.learnt(start.rows, start.split(start.rows, 2), 2)
    inputs = masked_mean(torch.from_numpy(start.inputs).unsqueeze(1), torch.ones(len(start.inputs), 1))
    gates = (inputs @ weight.T + bias).softmax(-1)
    assert ((gates[::2, 0] > 0.9) & (gates[1::2, 1] > 0.9)).all()


def test_a_refit_gives_a_row_to_the_expert_that_answers_it_best():
    model, rows = fresh("ptmoe_routed", num_experts=2, expert_init_noise=0.3).eval(), rows_of_kinds(kinds=2)
    start = LossRefit(model, rows, 0, seed=0)
    losses = [
        model(**collate(rows, 0).as_dict(), prompt=model.method.mix(one.expand(len(rows), -1))).row_losses
        for one in torch.eye(2)
    ]
    assert np.array_equal(start.split(start.rows, 2), torch.stack(losses).argmin(0).numpy())
    refit_router(model, rows, 0, seed=0, step=1)  # type: ignore[arg-type]
    assert set(chosen(model, rows).tolist()) == {0, 1}


def test_balance_loss_is_one_for_even_shares_and_n_for_one_expert():
    even, one = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert balance_loss(even) == 1 and balance_loss(one) == 2


def test_the_log_tells_how_much_the_choice_says_of_the_data_set():
    gates, dataset = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]]), torch.tensor([0, 0, 1, 1])
    sums = routing_sums(Routing.of(gates), dataset, 2)
    assert sums[2:].tolist() == [2, 0, 1, 1] and float(sums[1]) == pytest.approx(3)
    expected = mutual_info_score([0, 0, 1, 1], [0, 0, 1, 0])
    assert mutual_information(sums[2:].view(2, 2).numpy()) == pytest.approx(expected)
    assert mutual_information(np.array([[3.0, 0], [5, 0]])) == 0


def test_a_ratio_gives_a_group_of_its_own():
    matrix, vector = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))
    optimiser = make_optimiser([matrix, vector], 0.1, [0.0, 1.0])
    assert optimiser is not None
    assert [(group["ratio"], group["weight_decay"]) for group in optimiser.param_groups] == [(0.0, 0.1), (1.0, 0.0)]
