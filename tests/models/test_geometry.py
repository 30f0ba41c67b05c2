import json

import pytest

from ptmoe.base.geometry import Geometry
from ptmoe.runtime.errors import BaseModelError

LLAMA_1B = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}


def test_llama_3_2_1b_has_the_published_size():
    geometry = Geometry.from_config(LLAMA_1B)
    assert geometry.parameters == 1_235_814_400
    assert geometry.head_dim == 64
    assert [(linear.inputs, linear.outputs) for linear in geometry.matching(["v_proj"])] == [(2048, 512)] * 16


def test_names_match_whole_parts_of_a_path():
    geometry = Geometry.from_config(LLAMA_1B)
    assert geometry.matching(["proj"]) == []
    assert len(geometry.matching(["self_attn.q_proj"])) == 16
    assert [linear.path for linear in geometry.matching(["lm_head"])] == ["lm_head"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing"),
        ("{", "is not JSON"),
        ("[]", "is not a mapping"),
        ("{}", "no model_type"),
        ('{"model_type": "llama"}', "lacks hidden_size"),
        ('{"model_type": "gpt2", "n_embd": 8, "n_head": 2, "vocab_size": 9}', "lacks n_layer"),
        *[(json.dumps(LLAMA_1B | {"vocab_size": bad}), "vocab_size") for bad in (0, -1, 1.5, None, "9", [9])],
        (json.dumps(LLAMA_1B | {"num_hidden_layers": 10**9}), "num_hidden_layers 1000000000; allowed: .* 1 to 4096"),
        (json.dumps(LLAMA_1B | {"model_type": "vit"}), "not a causal language model"),
        ('{"model_type": "nonsense"}', "not a causal language model"),
    ],
)
def test_an_unusable_config_is_one_message(tmp_path, content, words):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BaseModelError, match=words):
        Geometry.from_config(path)


def test_a_config_alone_gives_the_sizes_of_the_model():
    from tests.models.bases import NAMES, config_of, tiny_base

    for name in NAMES:
        read = Geometry.from_config(json.loads(config_of(name).to_json_string(use_diff=False)))
        assert read == Geometry.from_model(tiny_base(name)), name
