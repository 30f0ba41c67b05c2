"""Methods that must coincide, and parity with the peft library."""

import peft
import pytest
import torch

from ptmoe.base.geometry import Geometry
from ptmoe.tuning.registry import load_method, method_params
from ptmoe.tuning.svd import fit_length
from tests.methods.cases import HIDDEN, batch, fresh, params_for, rows, trained
from tests.models.bases import tiny_base


def logits(model, text):
    with torch.no_grad():
        return model.eval()(text[None], torch.ones_like(text)[None]).logits


def text_embeds():
    torch.manual_seed(11)
    return torch.randn(9, HIDDEN)


def test_ptmoe_with_one_expert_is_dpt():
    (text,) = rows(10)
    one, dpt = fresh("ptmoe", num_experts=1, expert_init_noise=0.0), fresh("dpt")
    torch.manual_seed(4)
    one.method.initialise(text_embeds())
    torch.manual_seed(4)
    dpt.method.initialise(text_embeds())
    assert torch.equal(one.method.a[0], dpt.method.a)
    torch.testing.assert_close(logits(one, text), logits(dpt, text))


def test_smop_with_one_prompt_is_pt():
    (text,) = rows(10)
    one, pt = fresh("smop", num_experts=1), fresh("pt")
    one.method.initialise(text_embeds())
    pt.method.initialise(text_embeds())
    torch.testing.assert_close(logits(one, text), logits(pt, text))


def test_hydralora_with_one_expert_is_lora():
    (text,) = rows(10)
    lora, hydra = trained("lora"), trained("hydralora", num_experts=1)
    ours = dict(hydra.named_parameters())
    for name, parameter in lora.named_parameters():
        if "lora_A" in name:
            ours[name.replace("lora_A.default.weight", "a")].data.copy_(parameter)
        elif "lora_B" in name:
            ours[name.replace("lora_B.default.weight", "b")].data.copy_(parameter)
    assert (logits(lora, text) - logits(fresh("untuned"), text)).abs().max() > 0.01
    torch.testing.assert_close(logits(lora, text), logits(hydra, text))


def test_hydralora_is_the_dense_sum_over_experts():
    model = trained("hydralora", num_experts=3)
    layer = model.base.model.layers[0].self_attn.q_proj
    x = torch.randn(2, 5, HIDDEN)
    gates = layer.router(x).softmax(-1)
    rank = layer.a.shape[0]
    expected = layer.frozen(x)
    for i in range(3):
        b = layer.b[:, i * rank : (i + 1) * rank]
        expected = expected + layer.scale * gates[..., i : i + 1] * (x @ layer.a.T @ b.T)
    torch.testing.assert_close(layer(x), expected)


def test_full_rank_dpt_starts_as_pt():
    dpt, pt = fresh("dpt", rank=6), fresh("pt")
    dpt.method.initialise(text_embeds())
    pt.method.initialise(text_embeds())
    torch.testing.assert_close(dpt.method.a @ dpt.method.b, pt.method.prompt)


def test_identical_experts_start_as_the_text_scaled_by_the_gate():
    model = fresh("ptmoe", rank=6, expert_init_noise=0.0).eval()
    ids = rows(10)[0][None]
    with torch.no_grad():
        joined = model.join(ids, torch.ones_like(ids))
    torch.manual_seed(0)
    model.method.initialise(text_embeds())
    with torch.no_grad():
        joined = model.join(ids, torch.ones_like(ids))
    expected = joined.routing.probability[:, None, None] * text_embeds()[:6]
    torch.testing.assert_close(joined.inputs_embeds[:, :6], expected, atol=1e-5, rtol=1e-4)


def test_prompt_tuning_equals_peft():
    ours = trained("pt")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6)
    theirs = peft.get_peft_model(tiny_base(), config).eval()
    theirs.prompt_encoder["default"].embedding.weight.data.copy_(ours.method.prompt)
    for text in rows(5, 11):
        with torch.no_grad():
            expected = theirs(input_ids=text[None], attention_mask=torch.ones_like(text)[None]).logits[:, 6:]
        torch.testing.assert_close(logits(ours, text), expected, atol=1e-5, rtol=1e-5)


def test_lora_equals_peft():
    ours, inputs = trained("lora"), batch()
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    theirs = peft.get_peft_model(tiny_base(), config).eval()
    peft.set_peft_model_state_dict(
        theirs,
        {
            name.replace("base.", "base_model.model.", 1).replace(".default", ""): value
            for name, value in ours.trainable_state().items()
        },
    )
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask).logits[mask.bool()]
        torch.testing.assert_close(ours(ids, mask).logits[mask.bool()], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("base", ["llama", "qwen3", "gpt_neox", "gpt2"])
@pytest.mark.parametrize("method", ["ft", "lora", "hydralora", "pt", "dpt", "smop", "attempt", "ptmoe"])
def test_closed_form_equals_the_module(method, base):
    model = fresh(method, base)
    geometry = Geometry.from_model(tiny_base(base))
    params = method_params(method, params_for(method, base))
    assert load_method(method).count(params, geometry) == model.trainable_parameters


def test_short_texts_repeat_and_long_ones_are_cut():
    text = torch.arange(6.0).view(3, 2)
    assert fit_length(text, 2).tolist() == text[:2].tolist()
    assert fit_length(text, 7).tolist() == [*text.tolist(), *text.tolist(), text[0].tolist()]
