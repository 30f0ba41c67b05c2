"""Adapter folders: what they hold, and how a wrong or damaged one is refused."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from ptmoe.base.model import BaseInfo
from ptmoe.runtime.errors import AdapterError
from ptmoe.tuning.adapters import read_adapter_config
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.methods.cases import PTMOE, trained
from tests.models.bases import tiny_base

INFO = BaseInfo("some/base", "a" * 40, "f" * 64, "float32", "eager", False, 0, [2], 12264)
NOTE = {"task": "qa", "template": {"instruction": "Answer.", "input": "{question}", "cue": "A:"}, "init_text": "Answer"}


@pytest.fixture
def folder(tmp_path):
    trained("ptmoe").save(tmp_path / "adapter", INFO, NOTE)
    return tmp_path / "adapter"


def test_the_config_holds_what_use_needs(folder):
    config = read_adapter_config(folder)
    assert (config.method, config.params, config.base) == ("ptmoe", PTMOE, INFO)
    assert (config.task, config.template, config.init_text) == ("qa", NOTE["template"], "Answer")
    assert config.prompt_length == 6
    # The package's version may lack the build that the module's names: 2.13.0 for 2.13.0+cu130.
    assert config.versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert config.trainable_parameters == sum(
        t.numel() for t in load_file(folder / "adapter_model.safetensors").values()
    )


def test_writing_twice_gives_the_same_bytes(folder, tmp_path):
    PromptedLM.load(folder, tiny_base()).save(tmp_path / "again", INFO, NOTE)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_base_that_it_was_trained_on_is_accepted(folder):
    PromptedLM.load(folder, tiny_base(), INFO)
    PromptedLM.load(folder, tiny_base(), replace(INFO, name="elsewhere/copy", revision="local"))


def test_another_base_is_refused(folder):
    with pytest.raises(AdapterError, match=r"trained on some/base .* but this base is other/base"):
        PromptedLM.load(folder, tiny_base(), replace(INFO, name="other/base", fingerprint="0" * 64))


def test_another_geometry_is_refused(tmp_path):
    trained("lora").save(tmp_path)
    with pytest.raises(AdapterError, match=r"has shape .* the model needs"):
        PromptedLM.load(tmp_path, tiny_base("qwen3"))


def edit(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_other_parameters_are_refused(folder):
    edit(folder, params=PTMOE | {"num_experts": 2})
    with pytest.raises(AdapterError, match=r"method.a has shape \[3, 6, 4\], the model needs \[2, 6, 4\]"):
        PromptedLM.load(folder, tiny_base())


def test_missing_and_surplus_tensors_are_refused(folder):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: value for name, value in tensors.items() if name != "method.b"}, path)
    with pytest.raises(AdapterError, match=r"lacks method\.b"):
        PromptedLM.load(folder, tiny_base())
    save_file(tensors | {"method.c": torch.zeros(1)}, path)
    with pytest.raises(AdapterError, match=r"holds method\.c"):
        PromptedLM.load(folder, tiny_base())


def test_damage_is_one_message(folder):
    (folder / "adapter_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(AdapterError, match="damaged"):
        PromptedLM.load(folder, tiny_base())
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterError, match="is missing"):
        PromptedLM.load(folder, tiny_base())
    for text, words in [
        ("{", "damaged"),
        ("[]", "format"),
        ('{"peft_type": "LORA"}', "peft library"),
        ('{"format": 99}', "format 99"),
        ('{"format": 1}', "damaged"),
    ]:
        (folder / "adapter_config.json").write_text(text)
        with pytest.raises(AdapterError, match=words):
            PromptedLM.load(folder, tiny_base())
    (folder / "adapter_config.json").unlink()
    with pytest.raises(AdapterError, match="is missing"):
        PromptedLM.load(folder, tiny_base())


def test_an_interrupted_write_is_not_taken_for_an_adapter(folder, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ptmoe.tuning.adapters.write_json", fail)
    with pytest.raises(KeyboardInterrupt):
        trained("pt").save(folder)
    with pytest.raises(AdapterError, match="is missing"):
        read_adapter_config(folder)


def test_chosen_tensors_are_written(tmp_path):
    model = trained("pt")
    best = {name: value + 1 for name, value in model.trainable_state().items()}
    model.save(tmp_path, tensors=best)
    assert torch.equal(load_file(tmp_path / "adapter_model.safetensors")["method.prompt"], best["method.prompt"])


def test_a_state_is_a_copy():
    model = trained("pt")
    state = model.trainable_state()
    before = state["method.prompt"].clone()
    with torch.no_grad():
        model.method.prompt += 1
    assert torch.equal(state["method.prompt"], before)
    model.load_trainable_state(state)
    assert torch.equal(model.method.prompt, before)
