"""What is trained, that it learns, and that it comes back from disk."""

import pytest
import torch

from ptmoe.tuning.prompted_lm import PromptedLM
from tests.methods.cases import ALL, CASES, EXTRA, ROUTED, TRAINED, batch, fresh, params_for, trained
from tests.models.bases import tiny_base

# Not those that start from a product with zero, as LoRA's B A does.
NEVER_STILL = [name for name in TRAINED if name not in ("lora", "hydralora", "dora", "dept", "vera")]
BASES = ["llama", "gpt2", "gemma2"]
SAVED = [(method, base) for method in CASES for base in BASES] + [(method, "llama") for method in EXTRA]


@pytest.mark.parametrize("method", TRAINED)
def test_each_own_parameter_and_no_other_gets_a_gradient(method):
    model = trained(method).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
    model(**batch()).loss_sum.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.dtype == torch.float32, name
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        else:
            assert parameter.grad is None, name
    own = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    weights_of_base = {f"base.{name}" for name, _ in tiny_base().named_parameters()}
    assert own == weights_of_base if method == "ft" else own.isdisjoint(weights_of_base)
    optimiser.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert own <= changed
    if method != "ft":
        assert changed == own


@pytest.mark.parametrize("method", NEVER_STILL)
def test_every_parameter_learns_from_the_start(method):
    model = fresh(method).train()
    model(**batch()).loss_sum.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.abs().max() > 0, name


def test_untuned_trains_nothing():
    assert fresh("untuned").trainable_parameters == 0


@pytest.mark.parametrize("method", TRAINED)
def test_thirty_steps_lower_the_loss(method):
    model = fresh(method).train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.03, weight_decay=0.0)
    losses = []
    for _ in range(30):
        output = model(**batch())
        (output.loss_sum / output.num_tokens).backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(output.loss_sum.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(("method", "base"), SAVED)
def test_saved_and_loaded_gives_bitwise_the_same_logits(method, base, tmp_path):
    model, inputs = trained(method, base), batch()
    model.save(tmp_path)
    loaded = PromptedLM.load(tmp_path, tiny_base(base))
    with torch.no_grad():
        ours = model(inputs["input_ids"], inputs["attention_mask"]).logits
        theirs = loaded(inputs["input_ids"], inputs["attention_mask"]).logits
    assert torch.equal(ours, theirs)
    assert loaded.method.params.model_dump() == params_for(method, base)


@pytest.mark.parametrize("method", ALL)
def test_the_answer_never_reaches_the_prompt(method):
    model, inputs = trained(method), batch()
    answers = inputs["labels"] != -100
    other = inputs["input_ids"].masked_fill(answers, 5)
    assert not torch.equal(other, inputs["input_ids"])
    masks = {"attention_mask": inputs["attention_mask"]}
    prompts = []
    for ids in (inputs["input_ids"], other):
        joins = []
        original = model.join
        model.join = lambda *a, joins=joins, original=original: joins.append(original(*a)) or joins[-1]
        model(input_ids=ids, labels=inputs["labels"], **masks)
        model.join = original
        prompts.append(joins[0].inputs_embeds[:, : model.method.prompt_length])
    assert torch.equal(*prompts)


@pytest.mark.parametrize("method", ROUTED)
def test_the_router_does_look_at_the_question(method):
    model, inputs = trained(method), batch()
    prompt = model.join(inputs["input_ids"], inputs["attention_mask"]).inputs_embeds[:, : model.method.prompt_length]
    assert not torch.equal(prompt[0], prompt[1])


@pytest.mark.parametrize("method", [*CASES, "p_tuning", "dora"])
def test_the_same_seed_starts_the_same(method):
    first, second, other = fresh(method, seed=1), fresh(method, seed=1), fresh(method, seed=2)
    state = first.trainable_state()
    assert all(torch.equal(value, second.trainable_state()[name]) for name, value in state.items())
    if state and method != "ft":
        assert any(not torch.equal(value, other.trainable_state()[name]) for name, value in state.items())
