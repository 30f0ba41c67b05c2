"""A method is one file and one block: no other code of the library knows its name."""

import ast

import pytest

# `pt` is also safetensors' word for torch, and `ptmoe` the package's own name.
WORDS_OF_OTHER_THINGS = {"pt", "ptmoe"}
# The parameter schemas are still listed by method.
WITH_NAMES = {"ptmoe/config/methods.py"}


def named_in(text: str, names: set[str]) -> set[str]:
    """The method names that occur in Python source as a string of their own, or as a module that is imported."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= names & {node.value}
        elif isinstance(node, ast.ImportFrom) and node.module == "ptmoe.methods":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ptmoe.methods."):
            found.add(node.module)
    return found


def test_no_code_outside_methods_names_a_method(project_root):
    package = project_root / "ptmoe"
    names = {file.stem for file in (package / "methods").glob("*.py")} - WORDS_OF_OTHER_THINGS - {"__init__"}
    files = [file for file in package.rglob("*.py") if "methods" not in file.relative_to(package).parts]
    assert len(names) > 10 and len(files) > 100
    places = {file.relative_to(project_root).as_posix(): named_in(file.read_text(), names) for file in files}
    assert {place: found for place, found in places.items() if found and place not in WITH_NAMES} == {}


@pytest.mark.parametrize("text", ["x = 'lora'", "from ptmoe.methods import lora", "from ptmoe.methods.lora import A"])
def test_a_name_would_be_found(text):
    assert named_in(text, {"lora"})
