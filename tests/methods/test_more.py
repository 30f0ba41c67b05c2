"""Methods beyond the paper's table: peft's, and three small ones of their own."""

import peft
import pytest
import torch

from ptmoe.base.geometry import Geometry
from ptmoe.runtime.errors import AdapterError, BaseModelError, ParamsError
from ptmoe.tuning.peft import PeftMethod, PeftParams
from ptmoe.tuning.registry import load_method, method_params
from tests.methods.cases import EXTRA, HIDDEN, fresh, rows, trained
from tests.models.bases import tiny_base
from tests.models.test_geometry import LLAMA_1B


def logits(model, text, **masks):
    with torch.no_grad():
        return model(text[None], torch.ones_like(text)[None], **masks).logits


@pytest.mark.parametrize("method", EXTRA)
def test_the_count_is_that_of_the_module(method):
    geometry = Geometry.from_model(tiny_base())
    assert (
        load_method(method).count(method_params(method, EXTRA[method]), geometry) == fresh(method).trainable_parameters
    )


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 5}, 81_920),
        ({"peft_type": "LN_TUNING"}, 67_584),
        ({"peft_type": "IA3"}, 147_456),
        ({"peft_type": "LORA", "r": 1, "use_dora": True}, 147_456),
        ({"peft_type": "P_TUNING", "num_virtual_tokens": 20, "encoder_hidden_size": 16}, 108_832),
    ],
)
def test_counts_at_llama_3_2_1b(block, expected):
    assert PeftMethod.count(PeftParams(**block), Geometry.from_config(LLAMA_1B)) == expected


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"peft_type": "DORA"}, "peft_type: got 'DORA'; allowed: .*LORA"),
        ({"peft_type": "LORA", "rank": 2}, "rank is not a key of LoraConfig; .*allowed: "),
        ({"peft_type": "LORA", "lora_alfa": 2}, "did you mean lora_alpha"),
        ({"peft_type": "LORA", "target_modules": ["q_prj"]}, "peft refuses this LORA block: .*q_prj"),
        ({"peft_type": "LORA", "r": 0}, "peft refuses this LORA block: .*r"),
        ({"peft_type": "P_TUNING"}, "num_virtual_tokens: got None"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 0}, "num_virtual_tokens: got 0"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 1000000}, "num_virtual_tokens: got 1000000"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}, "use the method pt"),
        ({"peft_type": "LILY"}, "averages over the batch"),
    ],
)
def test_a_bad_block_is_one_message_before_a_model_is_loaded(block, words):
    with pytest.raises(ParamsError, match=words) as error:
        PeftMethod.check(PeftParams(**block), Geometry.from_config(LLAMA_1B))
    assert "\n" not in str(error.value)


def test_a_key_that_the_program_sets_itself_is_refused():
    with pytest.raises(ParamsError, match="task_type is not a key"):
        PeftMethod.check(PeftParams(peft_type="LORA", task_type="SEQ_CLS"), Geometry.from_config(LLAMA_1B))


@pytest.mark.parametrize("method", ["p_tuning_v2", "prefix_tuning"])
@pytest.mark.parametrize("base", ["llama", "qwen2"])
def test_prefixes_equal_peft(method, base):
    ours = trained(method, base)
    block = {key: value for key, value in EXTRA[method].items() if key != "peft_type"}
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", **block)
    theirs = peft.get_peft_model(tiny_base(base), config).eval()
    theirs.prompt_encoder["default"].load_state_dict(ours.method.encoder.state_dict())
    (text,) = rows(9)
    mask = torch.ones(1, 9).long()
    with torch.no_grad():
        expected = theirs(input_ids=text[None], attention_mask=mask).logits
        joined = ours.join(text[None], mask)
        # peft counts the text's positions from P; see methods/prefix.py.
        shifted = ours.base(inputs_embeds=joined.inputs_embeds, position_ids=joined.position_ids + 4).logits
    torch.testing.assert_close(shifted, expected, atol=1e-4, rtol=1e-4)
    assert (logits(fresh("untuned", base).eval(), text) - logits(ours, text)).abs().max() > 0.1


def test_prefixes_are_the_same_under_both_attentions():
    model, (text,) = trained("p_tuning_v2"), rows(9)
    eager = logits(model, text)
    model.base.set_attn_implementation("ptmoe_prefix_sdpa")
    torch.testing.assert_close(logits(model, text), eager, atol=1e-5, rtol=1e-5)


def test_prefixes_refuse_an_attention_that_they_cannot_join():
    base = tiny_base()
    base.config._attn_implementation = "flex_attention"
    with pytest.raises(BaseModelError, match="eager or sdpa, got flex_attention"):
        from ptmoe.tuning.prompted_lm import PromptedLM

        PromptedLM.create(base, "p_tuning_v2", EXTRA["p_tuning_v2"])


def test_p_tuning_equals_peft():
    ours, (text,) = trained("p_tuning"), rows(9)
    config = peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=6, encoder_hidden_size=8)
    theirs = peft.get_peft_model(tiny_base(), config).eval()
    theirs.prompt_encoder["default"].load_state_dict(ours.method.encoder.state_dict())
    with torch.no_grad():
        expected = theirs(input_ids=text[None], attention_mask=torch.ones(1, 9)).logits[:, 6:]
    torch.testing.assert_close(logits(ours, text), expected, atol=1e-5, rtol=1e-5)


def test_residual_prompt_is_the_prompt_plus_its_bottleneck():
    method = trained("residual_pt").method
    down, _, up, norm = method.bottleneck
    expected = method.prompt + norm(up(down(method.prompt).relu()))
    torch.testing.assert_close(method.soft_prompt(torch.zeros(1, 2, HIDDEN), torch.ones(1, 2)).embeds[0], expected)


def test_mpt_starts_as_pt_and_is_the_shared_prompt_times_a_matrix_of_rank_one():
    (text,) = rows(9)
    torch.testing.assert_close(logits(fresh("mpt").eval(), text), logits(fresh("pt").eval(), text))
    method = trained("mpt").method
    ratio = method.soft_prompt(torch.zeros(2, 2, HIDDEN), torch.ones(2, 2)).embeds[1] / method.shared
    torch.testing.assert_close(ratio, method.u[:, None] * method.v)
    assert torch.linalg.matrix_rank(ratio, rtol=1e-5) == 1


def test_dept_starts_as_pt_and_updates_by_position():
    (text,) = rows(14)
    dept, pt = fresh("dept").eval(), fresh("pt", prompt_length=3).eval()
    torch.testing.assert_close(logits(dept, text), logits(pt, text))
    method = trained("dept").method
    embeds = torch.randn(1, 14, HIDDEN)
    mask = torch.ones(1, 14).bool()
    mask[0, :2], mask[0, 13] = False, False
    changed = method.soft_prompt(embeds, mask).text - embeds
    update = 4.0 / 2**0.5 * method.a @ method.b
    torch.testing.assert_close(changed[0, 2:12], update, atol=1e-5, rtol=1e-4)
    assert (changed[0, [0, 1, 12, 13]] == 0).all()


def test_spot_starts_from_another_runs_prompt(tmp_path):
    source = trained("pt")
    source.save(tmp_path)
    params = {"prompt_length": 6, "source": str(tmp_path)}
    from ptmoe.tuning.prompted_lm import PromptedLM

    model = PromptedLM.create(tiny_base(), "spot", params)
    model.method.initialise(torch.randn(9, HIDDEN))
    assert torch.equal(model.method.prompt, source.method.prompt)
    model.save(tmp_path / "next")
    assert torch.equal(PromptedLM.load(tmp_path / "next", tiny_base()).method.prompt, source.method.prompt)


def test_spot_refuses_a_source_that_does_not_fit(tmp_path):
    trained("dpt").save(tmp_path / "dpt")
    trained("pt").save(tmp_path / "pt")
    geometry = Geometry.from_model(tiny_base())
    for source, length, words in [
        ("none", 6, "is missing"),
        ("dpt", 6, "was trained with dpt; allowed: pt, spot"),
        ("pt", 5, r"shape \[6, 24\], needs \[5, 24\]"),
    ]:
        params = method_params("spot", {"prompt_length": length, "source": str(tmp_path / source)})
        with pytest.raises(AdapterError, match=words):
            load_method("spot")(params, geometry).initialise(torch.randn(9, HIDDEN))
