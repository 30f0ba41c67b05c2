"""A GGUF file becomes a base folder that answers as transformers answers from the file itself."""

import json
import shutil
import sys

import pytest
import torch
from gguf import GGUFWriter, TokenType
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ptmoe.base.geometry import Geometry
from ptmoe.base.gguf import import_gguf
from ptmoe.base.model import load_base, load_tokenizer, prepare_base, read_base_info
from ptmoe.cli import main
from ptmoe.runtime.errors import BaseModelError
from ptmoe.runtime.files import sha256_of
from tests.models.test_base import params

HIDDEN, LAYERS, HEADS, KV_HEADS, WIDTH = 32, 2, 4, 2, 48
MERGES = ["a b", "ab c", "Ġ t", "Ġt h"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "ab", "abc", "Ġt", "Ġth"]


def write_gguf(path, architecture="llama", seed=3) -> None:
    """Writes a random Llama with a byte-level vocabulary of four merges."""
    dice = torch.Generator().manual_seed(seed)

    def weights(*shape):
        return (0.4 * torch.randn(*shape, generator=dice)).numpy()

    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_license("mit")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([TokenType.CONTROL] * 3 + [TokenType.NORMAL] * (len(TOKENS) - 3))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("token_embd.weight", weights(len(TOKENS), HIDDEN))
    writer.add_tensor("output_norm.weight", 1 + weights(HIDDEN))
    for layer in range(LAYERS):
        shapes = {
            "attn_q": (HIDDEN, HIDDEN),
            "attn_k": (HIDDEN * KV_HEADS // HEADS, HIDDEN),
            "attn_v": (HIDDEN * KV_HEADS // HEADS, HIDDEN),
            "attn_output": (HIDDEN, HIDDEN),
            "ffn_gate": (WIDTH, HIDDEN),
            "ffn_up": (WIDTH, HIDDEN),
            "ffn_down": (HIDDEN, WIDTH),
            "attn_norm": (HIDDEN,),
            "ffn_norm": (HIDDEN,),
        }
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights(*shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


@pytest.fixture(scope="module")
def folder(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "tiny"
    import_gguf(file, folder, "float32")
    return folder


def answer(model, tokenizer, text: str) -> list[int]:
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    return model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)[0].tolist()


def test_the_folder_answers_as_the_file_does(file, folder):
    source = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    text = "abc the 123 <|im_end|>\n  é"
    assert tokenizer(text)["input_ids"] == words(text)["input_ids"]
    assert tokenizer("abc the")["input_ids"] == [TOKENS.index(each) for each in ("abc", "Ġth", "e")]
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, source(ids).logits)
    assert answer(model, tokenizer, text) == answer(source, words, text)


def test_special_tokens_template_and_generation_config_survive(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)
    assert tokenizer.chat_template == TEMPLATE
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["bos_token_id"], generation["eos_token_id"], generation["pad_token_id"]) == (1, 2, 0)
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"] and "quantization_config" not in config
    assert config["tie_word_embeddings"] is True


def test_the_card_names_file_hash_and_licence(file, folder):
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n---\n")
    assert "tiny.gguf" in card and sha256_of(file) in card


def test_sizes_are_read_from_the_file(file, folder):
    assert Geometry.from_config(file).parameters == Geometry.from_config(folder).parameters


def test_the_base_stage_takes_the_file(file, folder, tmp_path):
    out = tmp_path / "models" / "base"
    prepare_base(params(file, revision="local", dtype="bfloat16"), out)
    info = read_base_info(out)
    assert (info.name, info.revision, info.pad_token_id, info.eos_token_ids) == (out.as_posix(), "local", 0, [2])
    assert load_base(out).dtype == torch.bfloat16
    assert load_tokenizer(out).chat_template == TEMPLATE
    again = tmp_path / "again"
    prepare_base(params(file, revision="local", dtype="bfloat16"), again)
    assert read_base_info(again).fingerprint == info.fingerprint
    assert sha256_of(file) in (out / "README.md").read_text()


def test_the_command_writes_a_new_folder_and_never_over_one(file, tmp_path, capsys):
    assert main(["base", "import", str(file), "--to", str(tmp_path / "new"), "--dtype", "float16"]) == 0
    assert "float16" in capsys.readouterr().out
    assert json.loads((tmp_path / "new" / "config.json").read_text())["dtype"] == "float16"
    with pytest.raises(SystemExit) as ended:
        main(["base", "import", str(file), "--to", str(tmp_path / "new")])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "new exists" in error and "Traceback" not in error


def test_files_that_are_no_whole_gguf_are_one_message_and_leave_nothing(file, tmp_path):
    whole, bad = file.read_bytes(), tmp_path / "bad.gguf"
    cases = [(b"PK\x03\x04 a zip", "not a GGUF file"), (b"", "not a GGUF file")]
    cases += [(whole[:end], "truncated or damaged") for end in (4, 20, 200, 3000, len(whole) // 2, len(whole) - 40)]
    for content, words in cases:
        bad.write_bytes(content)
        with pytest.raises(BaseModelError, match=words):
            import_gguf(bad, tmp_path / "out", "float32")
    with pytest.raises(BaseModelError, match="is not a file"):
        import_gguf(tmp_path / "none.gguf", tmp_path / "out", "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


def test_an_architecture_that_transformers_does_not_know_is_named(tmp_path):
    write_gguf(tmp_path / "odd.gguf", "oddnet")
    with pytest.raises(BaseModelError, match="architecture 'oddnet'"):
        import_gguf(tmp_path / "odd.gguf", tmp_path / "out", "float32")
    assert not (tmp_path / "out").exists()


def test_without_room_or_package_nothing_is_written(file, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    with monkeypatch.context() as patched, pytest.raises(BaseModelError, match=r"has 0\.0 GB; make room"):
        patched.setattr(shutil, "disk_usage", lambda _: usage)
        import_gguf(file, tmp_path / "out", "float32")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(BaseModelError, match=r"pip install 'ptmoe\[gguf\]'"):
        import_gguf(file, tmp_path / "out", "float32")
    assert not list(tmp_path.iterdir())
