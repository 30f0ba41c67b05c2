"""A server of its own process, and adapters for it to serve."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.training.world import World

METHODS = ("pt", "ptmoe", "lora")
TEMPLATE = {"instruction": "w3 w4", "input": "w9 {context} w10 {question}", "cue": "w11"}
NEW_TOKENS = 24


def adapters_of(world: World) -> dict[str, Path]:
    """Trains an adapter of each method for a few steps and gives it a template."""
    folders = {}
    for method in METHODS:
        world.train(method)
        folders[method] = world.root / "out" / f"qa-{method}-0"
        path = folders[method] / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"template": TEMPLATE}))
    return folders


@contextmanager
def serving(
    adapters: Mapping[str, Path], *options: str, key: str = ""
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yields the address and the process of `ptmoe serve`."""
    named = [text for name, folder in adapters.items() for text in ("--adapter", f"{name}={folder}")]
    command = [sys.executable, "-m", "ptmoe", "serve", *named, "--port", "0", "--max-new-tokens", str(NEW_TOKENS)]
    environment = os.environ | {"PTMOE_API_KEY": key, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            found = None
            for line in process.stdout:
                if found := re.search(r"at (http://\S+)/v1$", line.strip()):
                    break
            assert found, "the server did not start"
            yield found[1], process
        finally:
            process.kill()
