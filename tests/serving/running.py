"""A running server in this process or in one of its own, and adapters for it to serve."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn

from ptmoe.serving.app import Gate, make_app
from ptmoe.serving.opened import Limits, open_house
from ptmoe.serving.service import Service
from tests.training.world import World

METHODS = ("pt", "ptmoe", "lora")
TEMPLATE = {"instruction": "w3 w4", "input": "w9 {context} w10 {question}", "cue": "w11"}
NEW_TOKENS = 24
ROOT = Path(__file__).resolve().parents[2]


def adapters_of(world: World) -> dict[str, Path]:
    """Trains an adapter of each method for a few steps and gives it a template."""
    folders = {}
    with contextlib.chdir(world.root):
        for method in METHODS:
            world.train(method)
            folders[method] = world.root / "out" / f"qa-{method}-0"
            path = folders[method] / "adapter_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"template": TEMPLATE}))
    return folders


def service_of(adapters: Mapping[str, Path], max_requests: int = 256, budget: int = 600) -> Service:
    return Service(open_house(adapters, Limits(NEW_TOKENS, None, budget)), max_requests)


@contextlib.contextmanager
def in_thread(service: Service, key: str = "", max_body_bytes: int = 2000) -> Iterator[tuple[str, uvicorn.Server]]:
    """Yields the address and the server; at the end it stops as on SIGTERM."""
    app: Any = make_app(service, Gate(key, max_body_bytes))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def in_process(adapters: Mapping[str, Path], *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yields the address and the process of `ptmoe serve`."""
    named = [text for name, folder in adapters.items() for text in ("--adapter", f"{name}={folder}")]
    command = [sys.executable, "-m", "ptmoe", "serve", *named, "--port", "0", "--max-new-tokens", str(NEW_TOKENS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
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
