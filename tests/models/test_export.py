"""Exports give the same logits in the programs that load them."""

import json

import peft
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from ptmoe.base.model import BaseInfo
from ptmoe.cli import main
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.methods.cases import params_for, rows
from tests.models.bases import tiny_base


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_base().save_pretrained(folder)
    return folder


def saved(method, base_folder, folder, **changes):
    """A trained adapter on disk whose base is the folder."""
    torch.manual_seed(0)
    model = PromptedLM.create(tiny_base(), method, params_for(method, **changes))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    info = BaseInfo(str(base_folder), "local", "", "float32", "eager", False, 0, [2], 0)
    model.save(folder, info, {"template": {"cue": "Answer:"}})
    return model.eval()


def export(folder, to, capsys):
    out = folder.parent / "out"
    assert main(["export", "--adapter", str(folder), "--to", to, "--output", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    return out


@pytest.mark.parametrize("method", ["pt", "dpt", "residual_pt", "p_tuning", "lora", "dora", "ia3", "ln_tuning"])
def test_peft_loads_it_with_the_same_logits(method, base_folder, tmp_path, capsys):
    model = saved(method, base_folder, tmp_path / "adapter")
    out = export(tmp_path / "adapter", "peft", capsys)
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base_folder)
    theirs = peft.PeftModel.from_pretrained(tiny_base(), out).eval()
    for text in rows(5, 11):
        with torch.no_grad():
            expected = model(text[None], torch.ones_like(text)[None]).logits
            found = theirs(input_ids=text[None], attention_mask=torch.ones_like(text)[None]).logits
        torch.testing.assert_close(found[:, -len(text) :], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("ptmoe", {}),
        ("ptmoe", {"selective": False, "router_bias": False}),
        ("ptmoe", {"probationary": False}),
        ("smop", {}),
        ("attempt", {"temperature": 2.0}),
        ("dpt", {}),
    ],
)
def test_the_rule_of_the_embeddings_gives_the_same_prompt(method, changes, base_folder, tmp_path, capsys):
    model = saved(method, base_folder, tmp_path / "adapter", **changes)
    out = export(tmp_path / "adapter", "embeds", capsys)
    tensors, use = load_file(out / "prompt_embeds.safetensors"), json.loads((out / "how_to_use.json").read_text())
    assert use["template"] == {"cue": "Answer:"} and use["shapes"]["experts"] == list(tensors["experts"].shape)
    text = rows(9)[0][None]
    embeds = model.base.get_input_embeddings()(text)[0]
    prompt = prompt_by_rule(tensors, use["rule"], embeds)
    with torch.no_grad():
        inputs = torch.cat([prompt, embeds])[None]
        found = tiny_base()(inputs_embeds=inputs, attention_mask=torch.ones(inputs.shape[:2])).logits[:, -9:]
        torch.testing.assert_close(found, model(text, torch.ones_like(text)).logits, atol=1e-4, rtol=1e-4)


def prompt_by_rule(tensors, rule, embeds):
    """What a reader of the rule would write."""
    experts = tensors["experts"]
    if rule.startswith("one prompt"):
        return experts[0]
    if "maximum" in rule:
        hidden = tensors["router.up"] @ F.silu(tensors["router.down"] @ embeds.amax(0))
        query = F.layer_norm(hidden, hidden.shape, tensors["router.scale"], tensors["router.shift"], 1e-5)
        weights = (experts.amax(1) @ query / 2.0).softmax(0)
    else:
        logits = tensors["router.weight"] @ embeds.mean(0) + tensors.get("router.bias", 0)
        weights = gates = logits.softmax(0)
        if "largest gate alone" in rule:
            weights = gates * F.one_hot(gates.argmax(), len(gates))
            weights = weights / weights.max() if rule.split("others 0: ")[1].startswith("1") else weights
    return torch.einsum("n,nph->ph", weights, experts)


@pytest.mark.parametrize(
    ("method", "to", "words"),
    [
        ("ptmoe", "peft", "no method of peft gives the logits of ptmoe.*use --to embeds"),
        ("hydralora", "peft", "no method of peft gives the logits of hydralora"),
        ("ft", "peft", "no method of peft gives the logits of ft"),
        ("p_tuning_v2", "peft", "no method of peft gives the logits of p_tuning_v2"),
        ("vera", "peft", "frozen random matrices"),
        ("lora", "embeds", "more than a prompt"),
        ("dept", "embeds", "more than a prompt"),
        ("untuned", "embeds", "more than a prompt"),
    ],
)
def test_what_has_no_such_form_is_one_message(method, to, words, base_folder, tmp_path, capsys):
    saved(method, base_folder, tmp_path / "adapter")
    with pytest.raises(SystemExit) as stop:
        main(["export", "--adapter", str(tmp_path / "adapter"), "--to", to, "--output", str(tmp_path / "out")])
    assert stop.value.code == 2
    import re

    assert re.search(words, capsys.readouterr().err)


def test_a_missing_adapter_is_one_message(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", "--adapter", str(tmp_path), "--to", "peft"])
    assert "adapter_config.json is missing" in capsys.readouterr().err
