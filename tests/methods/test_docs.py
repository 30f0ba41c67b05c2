"""docs/methods.md: its blocks are valid, its counts true, its program runs."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ptmoe.base.geometry import Geometry
from ptmoe.config.params import Params, known_methods, read_yaml
from ptmoe.tuning.registry import load_method, method_params
from tests.models.test_geometry import LLAMA_1B

TEXT = Path("docs/methods.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[1])
def test_an_example_block_is_valid_and_its_count_is_true(block):
    tree = YAML(typ="safe", pure=True).load(block)
    ((name, values),) = tree.items()
    counts = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) parameters", block)]
    assert [load_method(name).count(method_params(name, values), Geometry.from_config(LLAMA_1B))] == counts
    load_method(name).check(method_params(name, values), Geometry.from_config(LLAMA_1B))
    assert Params(read_yaml("params.yaml") | tree).method(name) == values


def test_each_method_with_a_file_is_described():
    blocks = {re.findall(r"^(\w+):", block, flags=re.MULTILINE)[0] for block in BLOCKS}
    assert [name for name in known_methods() if f"`{name}`" not in TEXT and name not in blocks] == []


def test_the_table_of_counts_is_true():
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| ([\d,]+) \|", TEXT, flags=re.MULTILINE)
    geometry, params = Geometry.from_config(LLAMA_1B), Params.load()
    assert len(rows) == 9
    for name, count in rows:
        assert load_method(name).count(method_params(name, params.method(name)), geometry) == int(
            count.replace(",", "")
        ), name


def test_the_program_runs(tmp_path, monkeypatch, capsys):
    from tests.models.test_base import save_tiny_model

    save_tiny_model(tmp_path / "base")
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert "SmolLM2-135M-Instruct" in program
    monkeypatch.chdir(tmp_path)
    program = re.sub(r'name = ".*"', 'name = "base"', program).replace('"prompt_length": 20', '"prompt_length": 8')
    exec(compile(program, "docs/methods.md", "exec"), {})
    assert capsys.readouterr().out.strip()
    assert (tmp_path / "my-adapter" / "adapter_model.safetensors").is_file()


def test_importing_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, ptmoe; assert 'torch' not in sys.modules; assert ptmoe.PromptedLM.__name__ == 'PromptedLM'"
    subprocess.run([sys.executable, "-c", code], check=True)
