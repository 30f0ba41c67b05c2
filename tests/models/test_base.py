"""Preparing and loading a base model, from a folder and (without a connection) from the Hub."""

import json

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ptmoe.base.hub import fingerprint
from ptmoe.base.model import load_base, load_tokenizer, prepare_base, read_base_info
from ptmoe.config.params import BaseParams
from ptmoe.runtime.errors import BaseModelError
from ptmoe.tuning.prompted_lm import PromptedLM
from ptmoe.tuning.text_init import read_text_init, write_text_init
from tests.models.bases import VOCABULARY, tiny_base


def params(name, **changes) -> BaseParams:
    values = {
        "name": str(name),
        "revision": "main",
        "dtype": "float32",
        "attention": "sdpa",
        "trust_remote_code": False,
    }
    return BaseParams(**values | changes)


def save_tiny_model(folder) -> None:
    """Saves a tiny Llama whose tokenizer knows the words w3 .. w60 (any other word is w3)."""
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    tiny_base().save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def base_dir(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("base") / "base"
    prepare_base(params(folder), out)
    return out


def test_facts_of_the_base(base_dir, folder):
    info = read_base_info(base_dir)
    assert (info.name, info.revision, info.dtype) == (str(folder), "local", "float32")
    assert (info.pad_token_id, info.eos_token_ids, info.parameters) == (0, [2], tiny_base().num_parameters())
    assert info.fingerprint == fingerprint(folder)
    assert not list(base_dir.glob("*.safetensors"))
    assert load_tokenizer(base_dir)("w5 w7", add_special_tokens=False)["input_ids"] == [5, 7]


def test_end_tokens_of_config_and_tokenizer_are_joined(folder, tmp_path):
    prepare_base(params(folder), tmp_path / "first")
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in folder.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    (copied / "generation_config.json").write_text(json.dumps({"eos_token_id": [9, 8]}))
    prepare_base(params(copied), tmp_path / "out")
    assert read_base_info(tmp_path / "out").eos_token_ids == [9, 8, 2]


def test_the_loaded_base_is_frozen_and_the_same(base_dir):
    base = load_base(base_dir)
    assert not base.training and not any(parameter.requires_grad for parameter in base.parameters())
    ids = torch.randint(3, VOCABULARY, (2, 7))
    with torch.no_grad():
        torch.testing.assert_close(base(ids).logits, tiny_base()(ids).logits)


def test_preparing_twice_gives_the_same_bytes(base_dir, folder, tmp_path):
    prepare_base(params(folder), tmp_path / "base")
    names = sorted(path.name for path in base_dir.iterdir())
    assert "base.json" in names and names == sorted(path.name for path in (tmp_path / "base").iterdir())
    for name in names:
        assert (base_dir / name).read_bytes() == (tmp_path / "base" / name).read_bytes(), name


def test_the_fingerprint_follows_weights_not_places(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert fingerprint(tmp_path) == fingerprint(folder)
    tiny_base("llama_tied").save_pretrained(tmp_path)
    assert fingerprint(tmp_path) != fingerprint(folder)


def test_an_adapter_finds_its_base(base_dir, tmp_path):
    model = PromptedLM.create(load_base(base_dir), "pt", {"prompt_length": 2}, "w9 w8 w7", load_tokenizer(base_dir))
    table = load_base(base_dir).get_input_embeddings().weight
    assert torch.equal(model.method.prompt, table[[9, 8]])
    model.save(tmp_path, read_base_info(base_dir))
    loaded = PromptedLM.load(tmp_path)
    assert torch.equal(loaded.method.prompt, model.method.prompt)


def test_text_init_holds_embeddings_and_token_ids(base_dir, tmp_path):
    from safetensors.torch import load_file

    write_text_init("w9 w8 w9 w7", base_dir, tmp_path / "qa.safetensors")
    text, embeds = read_text_init(tmp_path / "qa.safetensors")
    assert text == "w9 w8 w9 w7"
    assert torch.equal(embeds, load_base(base_dir).get_input_embeddings().weight[[9, 8, 9, 7]])
    stored = load_file(tmp_path / "qa.safetensors")
    assert stored["token_ids"].tolist() == [9, 8, 9, 7]
    assert stored.keys() == {"text_embeddings", "token_ids"}
    for _ in range(8):
        write_text_init("w9 w8 w9 w7", base_dir, tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "qa.safetensors").read_bytes()


def test_text_embeddings_are_scaled_as_the_base_scales_them():
    from ptmoe.tuning.text_init import embed_text

    base = tiny_base("gemma3_text")
    embeds, _ = embed_text("any", base, lambda text, add_special_tokens: {"input_ids": [4, 5]})
    torch.testing.assert_close(embeds, base.get_input_embeddings().weight[[4, 5]] * 24**0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "no folder here"}, "neither a folder here nor a Hub id"),
        ({"name": "someone/nothing"}, "not in the Hub cache.*HF_HOME.*local folder"),
    ],
)
def test_a_base_that_is_not_there_is_one_message(changes, words, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseModelError, match=words):
        prepare_base(params(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gated_and_unknown_models_say_what_to_do(tmp_path, monkeypatch):
    import httpx2
    import huggingface_hub
    from huggingface_hub import errors

    response = httpx2.Response(403, request=httpx2.Request("GET", "https://huggingface.co"))
    for error, words in [
        (errors.GatedRepoError, "is gated: accept its licence at .*hf auth login"),
        (errors.RepositoryNotFoundError, "is not on the Hub"),
        (errors.RevisionNotFoundError, "no such revision"),
    ]:

        def refuse(*_, error=error, **__):
            raise error("no", response=response)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
        with pytest.raises(BaseModelError, match=words):
            prepare_base(params("owner/model"), tmp_path)


def test_a_folder_that_is_no_model_is_one_message(tmp_path):
    with pytest.raises(BaseModelError, match=r"no config\.json"):
        prepare_base(params(tmp_path), tmp_path / "out")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(BaseModelError, match=r"no \*\.safetensors"):
        prepare_base(params(tmp_path), tmp_path / "out")


def test_damaged_weights_are_one_message(folder, tmp_path):
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in folder.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    prepare_base(params(copied), tmp_path / "out")
    (copied / "model.safetensors").write_bytes(b"half a fi")
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_base(tmp_path / "out")


def test_missing_facts_are_one_message(tmp_path):
    with pytest.raises(BaseModelError, match="dvc repro base"):
        load_base(tmp_path)
    (tmp_path / "base.json").write_text("{}")
    with pytest.raises(BaseModelError, match="damaged"):
        load_base(tmp_path)
    with pytest.raises(BaseModelError, match="dvc repro init"):
        read_text_init(tmp_path / "none.safetensors")


def test_a_hub_model_is_pinned_to_its_commit_and_found_without_a_connection(folder, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--owner--tiny"
    snapshot = cached / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    prepare_base(params("owner/tiny"), tmp_path / "out")
    info = read_base_info(tmp_path / "out")
    assert (info.name, info.revision, info.fingerprint) == ("owner/tiny", commit, fingerprint(folder))
    (cached / "refs" / "main").write_text("f" * 40)
    assert torch.equal(load_base(tmp_path / "out").lm_head.weight, tiny_base().lm_head.weight)


def test_loading_writes_no_bars_into_a_log(base_dir, capfd):
    load_base(base_dir)
    assert capfd.readouterr() == ("", "")
