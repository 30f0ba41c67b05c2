"""Parameter counts that the paper prints, the rank rule, and mistakes that are caught before a model is loaded."""

import subprocess
import sys

import pytest

from ptmoe.base.geometry import Geometry
from ptmoe.config.params import Params, known_methods, read_yaml
from ptmoe.runtime.errors import ParamsError
from ptmoe.tuning.budget import auto_rank
from ptmoe.tuning.registry import check_methods, load_method, method_params
from tests.models.test_geometry import LLAMA_1B

LLAMA_3B = LLAMA_1B | {"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "head_dim": 128}
DEFAULTS = read_yaml("params.yaml")


def count(method: str, config=LLAMA_1B, **changes) -> int:
    params = method_params(method, DEFAULTS[method] | changes)
    return load_method(method).count(params, Geometry.from_config(config))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("untuned", 0),
        ("ft", 1_235_814_400),
        ("lora", 106_496),
        ("hydralora", 278_528),
        ("pt", 81_920),
        ("dpt", 81_432),
        ("smop", 86_016),
        ("attempt", 90_112),
        ("ptmoe", 80_706),
    ],
)
def test_counts_at_llama_3_2_1b(method, expected):
    assert count(method) == expected


def test_counts_at_llama_3_2_3b():
    assert count("ft", LLAMA_3B) == 3_212_749_824
    assert count("pt", LLAMA_3B) == 40 * 3072
    assert count("ptmoe", LLAMA_3B) == 2 * 40 * 37 + 37 * 3072 + 2 * 3073
    assert count("lora", LLAMA_3B) == 28 * (3072 + 3072 + 3072 + 1024)


@pytest.mark.parametrize(("experts", "rank"), [(1, 38), (2, 36), (4, 33), (8, 27)])
def test_the_rule_gives_the_ranks_of_the_expert_ablation(experts, rank):
    assert auto_rank(40 * 2048, 40, 2048, experts, experts * 2049) == rank


@pytest.mark.parametrize(("length", "rank"), [(20, 37), (40, 36), (60, 35), (80, 35)])
def test_the_rule_gives_the_ranks_of_the_length_ablation(length, rank):
    assert auto_rank(81_920, length, 2048, 2, 2 * 2049) == rank


def test_the_rule_gives_the_ranks_of_the_size_ablation():
    assert count("ptmoe", rank=7) == 18_994 and count("ptmoe", rank=75) == 163_698


def test_dpt_takes_the_largest_rank_inside_the_budget():
    assert auto_rank(40 * 2048, 40, 2048) == 39
    assert 39 * 2088 <= 40 * 2048 < 40 * 2088


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *[("ptmoe", {"num_experts": bad}) for bad in (0, -1, 2.5, "abc", True)],
        ("hydralora", {"num_experts": 10**9}),
        *[("smop", {"num_experts": bad}) for bad in (0, -1, 2.5, "abc", 3)],
        ("attempt", {"num_experts": 7}),
        *[("ptmoe", {"rank": bad}) for bad in (0, -3, 1.5, "best")],
        ("dpt", {"rank": 0}),
        ("lora", {"rank": 0}),
        ("pt", {"prompt_length": 0}),
        ("pt", {"prompt_length": "40"}),
        ("pt", {"length": 40}),
        ("attempt", {"temperature": 0}),
        ("ptmoe", {"router_noise": -0.1}),
        ("ptmoe", {"router_init": "random"}),
        ("lora", {"target_modules": []}),
    ],
)
def test_a_bad_value_names_key_and_value(method, changes):
    with pytest.raises(ParamsError) as error:
        method_params(method, DEFAULTS[method] | changes)
    ((key, value),) = changes.items()
    assert key in str(error.value) and str(value) in str(error.value) and "Traceback" not in str(error.value)
    with pytest.raises(ParamsError, match=f"{method}.*{key}|{key}"):
        check_methods(Params(DEFAULTS | {method: DEFAULTS[method] | changes}).methods)


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("dpt", {"rank": 2049}, "rank: got 2049; allowed: auto, or 1 to 2048"),
        ("dpt", {"rank": 41, "svd_padding": "none"}, "rank: got 41; allowed: auto, or 1 to 40"),
        ("ptmoe", {"rank": 5000}, "rank: got 5000"),
        ("ptmoe", {"num_experts": 64}, "rank: auto finds no rank"),
        ("lora", {"rank": 513}, "rank: got 513; allowed: 1 to 512"),
        ("hydralora", {"rank": 4000}, "rank: got 4000"),
        ("lora", {"target_modules": ["q_prj"]}, "target_modules: got 'q_prj'.*q_proj"),
        ("pt", {"prompt_length": 131072}, "prompt_length: got 131072; allowed: less than 131072"),
        ("ptmoe", {"prompt_length": 200000, "rank": 2}, "prompt_length: got 200000"),
    ],
)
def test_what_does_not_fit_the_base_is_refused_from_its_config_alone(method, changes, words):
    params, geometry = method_params(method, DEFAULTS[method] | changes), Geometry.from_config(LLAMA_1B)
    with pytest.raises(ParamsError, match=words):
        load_method(method).check(params, geometry)
    with pytest.raises(ParamsError, match=words):
        load_method(method)(params, geometry)


def test_an_unknown_method_is_one_message():
    for name in ("nonsense", "../ptmoe", "base", "router"):
        with pytest.raises(ParamsError, match=f"method '{name}' has no file; add ptmoe/methods/{name}.py"):
            load_method(name)


def test_importing_one_method_imports_no_other():
    others = sorted(set(known_methods()) - {"ptmoe"})
    code = (
        "import sys; from ptmoe.tuning.registry import check_methods, load_method; load_method('ptmoe'); "
        f"assert not [m for m in {others!r} if f'ptmoe.methods.{{m}}' in sys.modules]; "
        "assert 'transformers' not in sys.modules and 'peft' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
