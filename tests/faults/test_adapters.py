"""An adapter of others: refused in one sentence before its base is loaded, and never a reason to run code."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ptmoe.base.model import BaseInfo
from ptmoe.cli import main
from ptmoe.runtime.errors import AdapterError, PtmoeError
from ptmoe.tuning.adapters import read_adapter
from ptmoe.tuning.fit import check_fit
from ptmoe.tuning.prompted_lm import PromptedLM
from tests.methods.cases import ALL, trained
from tests.models.bases import tiny_base


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_base().save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(base_folder, tmp_path, monkeypatch):
    """An adapter on disk; loading its base fails the test."""
    info = BaseInfo(str(base_folder), "local", "", "float32", "eager", False, 0, [2], 0)
    trained("pt").save(tmp_path / "adapter", info)
    monkeypatch.setattr("ptmoe.tuning.prompted_lm.open_base", lambda _: pytest.fail("the base was loaded"))
    return tmp_path / "adapter"


def edit(folder, **changes):
    path = folder / "adapter_config.json"
    value = json.loads(path.read_text())
    base = value["base"] | changes.pop("base", {}) if isinstance(changes.get("base", {}), dict) else changes.pop("base")
    path.write_text(json.dumps(value | {"base": base} | changes))


def refused(adapter, capsys):
    """Loads and exports; returns the one sentence of both."""
    with pytest.raises(PtmoeError) as refusal:
        PromptedLM.load(adapter)
    out = adapter.parent / "out"
    with pytest.raises(SystemExit) as stop:
        main(["export", "--adapter", str(adapter), "--to", "peft", "--output", str(out)])
    assert stop.value.code == 2 and not out.exists()
    assert str(refusal.value) in capsys.readouterr().err
    return str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": {"attention": "someone/kernel"}}, "base.attention: Input should be 'sdpa'"),
        ({"base": {"name": 3}}, "base.name: Input should be a valid string"),
        ({"base": {"dtype": "pickle"}}, "base.dtype"),
        ({"base": {"trust_remote_code": "yes"}}, "base.trust_remote_code"),
        ({"base": {"eos_token_ids": []}}, "at least one end token"),
        ({"base": {"pad_token_id": 61}}, "ids below 61"),
        ({"base": {"code": "x"}}, "base.code: Unexpected"),
        ({"base": [1]}, "base: Input should be an object"),
        ({"method": None}, "method: Input should be a valid string"),
        ({"method": "../../x"}, "method: String should match"),
        ({"params": []}, "params: Input should be"),
    ],
)
def test_a_config_of_the_wrong_form(changes, words, adapter, capsys):
    edit(adapter, **changes)
    assert words in refused(adapter, capsys)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (None, "lacks method.prompt"),
        (torch.zeros(6, 23), "has shape"),
        (torch.full((6, 24), torch.nan), "not finite"),
        (torch.full((6, 24), torch.inf), "not finite"),
        (torch.zeros(6, 24, dtype=torch.complex64), "not finite real"),
        (torch.zeros(6, 24, dtype=torch.int64), "not finite real"),
    ],
)
def test_tensors_that_cannot_be_the_adapters(tensor, words, adapter, capsys):
    save_file({"other": torch.zeros(1)} if tensor is None else {"method.prompt": tensor}, adapter / WEIGHTS)
    assert words in refused(adapter, capsys)


WEIGHTS = "adapter_model.safetensors"


def test_consent_to_run_code_is_the_callers(adapter):
    edit(adapter, base={"trust_remote_code": True})
    with pytest.raises(AdapterError, match="pass trust_remote_code"):
        PromptedLM.load(adapter)


def test_other_weights_behind_the_recorded_name(adapter, base_folder, tmp_path):
    shutil.copytree(base_folder, tmp_path / "copy")
    tensors = load_file(tmp_path / "copy" / "model.safetensors")
    save_file({name: value + 1 for name, value in tensors.items()}, tmp_path / "copy" / "model.safetensors")
    edit(adapter, base={"name": str(tmp_path / "copy"), "fingerprint": "f" * 64})
    with pytest.raises(AdapterError, match="this base is"):
        PromptedLM.load(adapter)


def test_an_export_onto_the_adapter_itself(adapter, capsys):
    before = {path.name: path.read_bytes() for path in adapter.iterdir()}
    with pytest.raises(SystemExit):
        main(["export", "--adapter", str(adapter), "--to", "embeds", "--output", str(adapter)])
    assert "which ptmoe did not write there" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == before


@pytest.mark.parametrize("method", ALL)
def test_every_method_passes_its_own_gate(method, base_folder, tmp_path):
    info = BaseInfo(str(base_folder), "local", "", "float32", "eager", False, 0, [2], 0)
    trained(method).save(tmp_path, info)
    check_fit(*read_adapter(tmp_path), base_folder)
