"""What a router sees, what it decides, and the gradient that it gets."""

import math

import pytest
import torch

from ptmoe.methods.attempt import masked_max
from ptmoe.tuning.method import Routing
from ptmoe.tuning.router import Router, alone, expert_weights, masked_mean
from tests.methods.cases import batch, fresh, rows, trained

GATES = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])


@pytest.mark.parametrize(
    ("selective", "probationary", "expected"),
    [
        (True, True, [[0, 0.5, 0], [0.6, 0, 0]]),
        (False, True, GATES.tolist()),
        (True, False, [[0, 1, 0], [1, 0, 0]]),
        (False, False, [[1, 1, 1], [1, 1, 1]]),
    ],
)
def test_the_four_routings(selective, probationary, expected):
    weights = expert_weights(GATES, selective, probationary)
    assert weights.tolist() == torch.tensor(expected, dtype=torch.float32).tolist()


@pytest.mark.parametrize("selective", [True, False])
@pytest.mark.parametrize("probationary", [True, False])
def test_the_router_gets_a_gradient_in_each_routing(selective, probationary):
    model = trained("ptmoe", selective=selective, probationary=probationary).train()
    model(**batch()).loss_sum.backward()
    assert model.method.router.linear.weight.grad.abs().max() > 0


def test_probationary_gradient_flows_through_the_kept_gate_alone():
    logits = torch.tensor([[0.1, 0.7]], requires_grad=True)
    gates = logits.softmax(-1)
    expert_weights(gates, True, True).sum().backward()
    p = gates[0].detach()
    torch.testing.assert_close(logits.grad[0], torch.tensor([-p[0] * p[1], p[1] * (1 - p[1])]))


def test_straight_through_passes_the_whole_gradient_to_the_gates():
    gates = GATES.clone().requires_grad_()
    (expert_weights(gates, True, False) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert gates.grad.tolist() == [[1, 2, 3], [1, 2, 3]]


def test_unchosen_experts_have_a_zero_gradient_not_a_missing_one():
    model = trained("ptmoe").train()
    model(**{name: value[:1] for name, value in batch().items()}).loss_sum.backward()
    norms = model.method.a.grad.flatten(1).norm(dim=1)
    assert (norms > 0).sum() == 1 and norms.shape == (3,)


def test_noise_is_multiplicative_and_for_training_alone():
    router = Router(8, 2, bias=True, noise=0.5)
    x = torch.randn(4, 8)
    torch.manual_seed(0)
    noisy = router.train()(x)
    torch.manual_seed(0)
    logits = router.linear(x)
    torch.testing.assert_close(noisy, (logits * (1 + 0.5 * torch.randn_like(logits))).softmax(-1))
    assert torch.equal(router.eval()(x), logits.softmax(-1))


def test_router_initialisations():
    torch.manual_seed(0)
    orthogonal = Router(8, 3, True, 0.0, "orthogonal").linear.weight
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(3))
    assert (Router(8, 3, True, 0.0, "zero_bias").linear.bias == 0).all()
    assert (Router(8, 3, True, 0.0, "default").linear.bias != 0).all()
    assert Router(8, 3, False, 0.0).linear.bias is None


def test_pooling_sees_the_mask_alone():
    embeds = torch.tensor([[[1.0], [5.0], [99.0]], [[-3.0], [-1.0], [7.0]], [[1.0], [2.0], [3.0]]])
    mask = torch.tensor([[True, True, False], [True, True, False], [False, False, False]])
    assert masked_mean(embeds, mask).tolist() == [[3], [-2], [0]]
    assert masked_max(embeds, mask).tolist() == [[5], [-1], [0]]


def test_routing_reads_off_decisions():
    routing = Routing.of(GATES)
    assert routing.expert.tolist() == [1, 0]
    assert routing.probability.tolist() == pytest.approx([0.5, 0.6])
    assert Routing.of(torch.tensor([[0.5, 0.5]])).entropy.item() == pytest.approx(math.log(2))
    assert Routing.of(torch.tensor([[0.0, 1.0]])).entropy.item() == 0


def test_routing_on_the_question_ignores_the_rest():
    model = trained("ptmoe", router_input="question")
    ids = rows(10)[0][None]
    question = torch.zeros(1, 10).bool()
    question[0, 3:6] = True
    other = ids.clone()
    other[0, 7:] = 5
    with torch.no_grad():
        gates = [model(x, torch.ones(1, 10), question_mask=question).routing.gates for x in (ids, other)]
        assert torch.equal(*gates)
        other[0, 4] = 60 - other[0, 4]
        assert not torch.equal(gates[0], model(other, torch.ones(1, 10), question_mask=question).routing.gates)


def test_expert_noise_tells_experts_apart():
    same, apart = fresh("ptmoe", expert_init_noise=0.0).method.a, fresh("ptmoe", expert_init_noise=0.1).method.a
    assert torch.equal(same[0], same[1])
    assert (apart[0] - apart[1]).std().item() == pytest.approx(0.1 * 2**0.5, rel=0.4)


def test_prompts_keep_float32_routing_under_autocast():
    model = trained("ptmoe")
    ids = rows(10)[0][None]
    with torch.no_grad():
        expected = model(ids, torch.ones(1, 10)).routing.gates
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model(ids, torch.ones(1, 10)).routing.gates, expected)


@pytest.mark.parametrize(("selective", "probationary", "moves"), [(1, 1, True), (0, 1, False), (1, 0, False)])
def test_equal_experts_leave_most_routers_without_a_gradient(selective, probationary, moves):
    changes = {"selective": bool(selective), "probationary": bool(probationary), "expert_init_noise": 0.0}
    model = fresh("ptmoe", **changes)
    model(**batch()).loss_sum.backward()
    size = model.method.router.linear.weight.grad.abs().max().item()
    assert size > 1e-2 if moves else size < 1e-4


def test_a_forced_expert_gets_all_of_the_weight():
    weights = expert_weights(GATES, selective=True, probationary=True)
    assert torch.equal(alone(weights, 1), torch.tensor([[0, 0.5, 0], [0, 0.6, 0]]))
    assert alone(GATES, 2).tolist() == [[0, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("method", ["ptmoe", "smop", "attempt"])
def test_forcing_the_chosen_expert_changes_nothing_and_another_does(method):
    model = trained(method)
    inputs = {name: batch()[name] for name in ("input_ids", "attention_mask")}
    free = model.join(**inputs)
    for expert in range(model.method.params.num_experts):
        model.method.forced = expert
        made = model.join(**inputs)
        assert torch.equal(made.routing.expert, free.routing.expert)  # what the router would have chosen
        same = (made.inputs_embeds == free.inputs_embeds).flatten(1).all(dim=1)
        assert torch.equal(same, free.routing.expert == expert if method != "attempt" else torch.zeros(3, dtype=bool))
