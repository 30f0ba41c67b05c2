"""Which of the project's own modules a stage can import, read from the source without running it."""

import ast
from functools import cache
from pathlib import Path


@cache
def imported_files(file: Path, root: Path) -> frozenset[Path]:
    """The files under `root` that one file imports by name, anywhere in it, packages' __init__.py included."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for module in modules:
        path = root / Path(*module.split("."))
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                found.add(candidate)
    return frozenset(found)


def import_closure(start: Path, root: Path) -> set[Path]:
    """Everything that can be imported from `start` on, `start` included."""
    seen, waiting = set(), [start]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += imported_files(file, root)
    return seen
