"""Joining prompt and text, the loss at answers alone, and the base model left as it is."""

import pytest
import torch
from torch.nn import functional as F

from ptmoe.runtime.errors import BaseModelError
from ptmoe.tuning.joining import place
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.methods.cases import TRAINED, batch, fresh, padded, params_for, rows, trained
from tests.models.bases import NAMES, VOCABULARY, tiny_base


def positions_of(mask):
    return (mask.cumsum(-1) - 1).clamp(min=0)


def test_a_prompt_stands_right_before_the_text():
    prompt = torch.tensor([[[-1.0], [-2.0]], [[-3.0], [-4.0]], [[-5.0], [-6.0]]])
    text = torch.tensor([[[0.0], [0.0], [7.0]], [[7.0], [8.0], [0.0]], [[0.0], [0.0], [0.0]]])
    embeds, mask = place(prompt, text, torch.tensor([[0, 0, 1], [1, 1, 0], [0, 0, 0]]))
    assert embeds.squeeze(-1).tolist() == [[0, 0, -1, -2, 7], [-3, -4, 7, 8, 0], [0, 0, 0, -5, -6]]
    assert mask.tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 0], [0, 0, 0, 1, 1]]


def test_positions_count_from_the_first_token():
    model = trained("pt")
    ids, mask = padded(rows(2, 4), "left")
    joined = model.join(ids, mask)
    assert joined.position_ids.tolist() == [[0, 0, *range(8)], list(range(10))]
    assert joined.inputs_embeds.shape == (2, 10, 24) and joined.attention_mask.tolist()[0] == [0, 0] + [1] * 8


@pytest.mark.parametrize("base", NAMES)
def test_an_empty_prompt_gives_the_logits_of_the_base(base):
    model, lm = fresh("untuned", base).eval(), tiny_base(base)
    ids, mask = padded(rows(4, 13, 9), "left")
    with torch.no_grad():
        expected = lm(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask)).logits
        assert torch.equal(model(ids, mask).logits, expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_is_exact_where_greedy_decoding_gives_its_answer(side):
    model = trained("ptmoe").eval()
    questions, length = rows(4, 9, 6, 7), 3
    options = {"min_new_tokens": length, "max_new_tokens": length}
    answers = [model.generate(*padded([row], "left"), **options)[0] for row in questions]
    answers[1][-1] = (answers[1][-1] + 1) % VOCABULARY
    answers[2][0] = (answers[2][0] + 1) % VOCABULARY
    ids, mask = padded([torch.cat(pair) for pair in zip(questions, answers, strict=True)], side)
    labels = torch.full_like(ids, -100)
    for number, (row, answer) in enumerate(zip(questions, answers, strict=True)):
        start = ids.shape[1] - length if side == "left" else len(row)
        labels[number, start : start + length] = answer
    with torch.no_grad():
        assert model(ids, mask, labels).exact.tolist() == [True, False, False, True]
        assert model.train()(ids, mask, labels).exact is None


@pytest.mark.parametrize("base", NAMES)
@pytest.mark.parametrize("method", ["ptmoe", "ft"])
def test_loss_at_answers_is_the_full_loss_with_the_same_gradients(method, base):
    model, inputs = trained(method, base), batch()
    prompt_mask = (inputs["labels"] == -100) & inputs["attention_mask"].bool()
    output = model(**inputs)
    output.loss_sum.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()

    logits = model(inputs["input_ids"], inputs["attention_mask"], prompt_mask=prompt_mask).logits
    targets = inputs["labels"][:, 1:]
    full = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    full.backward()
    torch.testing.assert_close(output.loss_sum, full, atol=1e-5, rtol=1e-5)
    assert output.num_tokens == 12
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


def test_the_head_runs_at_answers_alone():
    model, seen = trained("pt"), []
    model.base.lm_head.register_forward_hook(lambda _, inputs, output: seen.append(tuple(output.shape)))
    model(**batch())
    assert seen == [(1, 12, 61)]


def test_loss_of_a_batch_is_the_sum_over_its_rows():
    model, inputs = trained("ptmoe"), batch()
    together = model(**inputs).loss_sum
    alone = [model(**{name: value[row : row + 1] for name, value in inputs.items()}).loss_sum for row in range(3)]
    torch.testing.assert_close(together, sum(alone), atol=1e-4, rtol=1e-5)


def test_left_padding_gives_the_same_loss():
    model, inputs = trained("ptmoe"), batch()
    order = [torch.argsort(row, stable=True) for row in inputs["attention_mask"]]
    left = {name: torch.stack([v[o] for v, o in zip(value, order, strict=True)]) for name, value in inputs.items()}
    assert left["attention_mask"][1, 0] == 0
    torch.testing.assert_close(model(**left).loss_sum, model(**inputs).loss_sum, atol=1e-4, rtol=1e-5)


def test_a_batch_without_answers_has_no_loss():
    model, inputs = trained("pt").train(), batch()
    output = model(**inputs | {"labels": torch.full_like(inputs["labels"], -100)})
    output.loss_sum.backward()
    assert output.loss_sum == 0 and output.num_tokens == 0


def test_prompts_of_float32_join_a_bfloat16_base():
    base = tiny_base().bfloat16()
    model = PromptedLM.create(base, "pt", {"prompt_length": 3})
    assert model.method.prompt.dtype == torch.float32
    output = model(**batch())
    output.loss_sum.backward()
    assert output.loss_sum.dtype == torch.float32 and model.method.prompt.grad.dtype == torch.float32


@pytest.mark.parametrize("method", TRAINED)
def test_what_is_trained_on_a_bfloat16_base_is_float32(method):
    model = PromptedLM.create(tiny_base().bfloat16(), method, params_for(method))
    model(**batch()).loss_sum.backward()
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def test_gradient_checkpointing_changes_no_gradient():
    plain, saving = trained("ptmoe"), trained("ptmoe")
    saving.train()
    saving.method.eval()
    saving.base.gradient_checkpointing_enable()
    for model in (plain, saving):
        model(**batch()).loss_sum.backward()
    torch.testing.assert_close(saving.method.a.grad, plain.method.a.grad)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(BaseModelError, match="no output embeddings"):
        PromptedLM.create(tiny_base().model, "untuned", {})
