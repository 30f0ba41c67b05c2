"""`ptmoe budget`, as a user runs it."""

import json

import pytest

from ptmoe.cli import main
from tests.models.test_geometry import LLAMA_1B

PAPER = {
    "untuned": 0,
    "ft": 1_235_814_400,
    "lora": 106_496,
    "hydralora": 278_528,
    "pt": 81_920,
    "dpt": 81_432,
    "smop": 86_016,
    "attempt": 90_112,
    "ptmoe": 80_706,
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_1B))
    return str(path)


def rows(capsys, *arguments):
    assert main(["budget", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_counts_of_the_paper_from_a_bare_config(config, capsys):
    found = rows(capsys, "--base", config)
    assert {name: found[name]["trainable_parameters"] for name in PAPER} == PAPER
    assert found["ptmoe"] == {
        "trainable_parameters": 80_706,
        "prompt_length": 40,
        "rank": 36,
        "num_experts": 2,
        "share_of_base": 80_706 / 1_235_814_400,
    }
    assert found["dpt"]["rank"] == 39 and found["ft"]["share_of_base"] == 1


def test_a_folder_gives_the_same(config, tmp_path, capsys):
    assert rows(capsys, "--base", str(tmp_path)) == rows(capsys, "--base", config)


@pytest.mark.parametrize("budget", [5_000, 81_920, 1_000_000])
def test_each_method_is_as_large_as_the_budget_allows(config, budget, capsys):
    from ptmoe.base.geometry import Geometry
    from ptmoe.config.params import Params
    from ptmoe.tuning.registry import load_method, method_params

    geometry, params = Geometry.from_config(config), Params.load()
    found = rows(capsys, "--base", config, "--params", str(budget))
    assert set(params.grid.methods) <= found.keys()
    assert "problem" not in found["pt"]  # at each of these budgets something is solved
    for name, row in found.items():
        method = load_method(name)
        if method.size_key is None:
            continue
        block = method_params(name, params.method(name))
        step = getattr(block, "num_experts", 1) if method.size_key == "prompt_length" else 1
        if "problem" in row:
            smallest = block.model_copy(update={method.size_key: step})
            assert method.count(smallest, geometry) > budget
            continue
        larger = block.model_copy(update={method.size_key: row[method.size_key] + step})
        assert row["trainable_parameters"] <= budget < method.count(larger, geometry)


def test_the_budget_of_pt_gives_the_ranks_of_the_paper(config, capsys):
    found = rows(capsys, "--base", config, "--params", "81920")
    assert (found["pt"]["prompt_length"], found["dpt"]["rank"], found["ptmoe"]["rank"]) == (40, 39, 36)


def test_the_table_names_what_does_not_fit(tmp_path, capsys):
    sizes = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 61}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **sizes}))
    assert main(["budget", "--base", str(tmp_path)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    assert "target_modules: got 'q_proj'" in lines["lora"] and "c_attn" in lines["lora"]
    assert lines["pt"].split() == ["pt", "40", "-", "-", "960", lines["pt"].split()[-1]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--base", "none.json"], "is missing"), (["--params", "0"], "allowed: 1 or more")],
)
def test_a_mistake_is_one_line_and_status_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["budget", *arguments])
    assert stop.value.code == 2 and words in capsys.readouterr().err
