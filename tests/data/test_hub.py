"""The Hub, played by a server on this machine: files, commits, caches and what is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.data.server import serving

COMMIT = "c" * 40
CODE = """
import sys
from ptmoe.sources.remote import fetch_hub
from ptmoe.sources.registry import HubPlace
from ptmoe.runtime.errors import reported_to_user
with reported_to_user():
    commit, files = fetch_hub(HubPlace.model_validate_json(sys.argv[1]))
    print(commit, *(f"{file.name}={file.read_text()}" for file in files))
"""


@pytest.fixture
def hub():
    with serving() as site:
        files = ["README.md", "data/test-0.jsonl", "data/test-1.jsonl", "data/train-0.jsonl"]
        info = {"id": "o/d", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        site.headers["X-Repo-Commit"] = COMMIT
        tree = [{"type": "file", "path": name, "size": len(name), "oid": str(n)} for n, name in enumerate(files)]
        site.files[f"/api/datasets/o/d/tree/{COMMIT}"] = json.dumps(tree).encode()
        for revision in ("main", COMMIT):
            site.files[f"/api/datasets/o/d/revision/{revision}"] = json.dumps(info).encode()
            site.files |= {f"/datasets/o/d/resolve/{revision}/{name}": name.encode() for name in files}
        yield site


def fetch(hub, home, place, offline="0"):
    """Runs in a process of its own, because huggingface_hub reads its environment when it is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url.rstrip("/"),
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": offline,
    }
    command = [sys.executable, "-c", CODE, json.dumps({"hub": "o/d"} | place)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_files_by_pattern_at_a_commit_that_is_said_and_then_offline(hub, tmp_path):
    place = {"files": [{"path": "data/test-*.jsonl"}], "seen": "ccccccc"}
    done = fetch(hub, tmp_path, place)
    said, found = done.stdout.splitlines()
    assert said == f"  o/d: main is {COMMIT}; write it into sources.yaml to freeze it"
    assert found == f"{COMMIT} test-0.jsonl=data/test-0.jsonl test-1.jsonl=data/test-1.jsonl"
    hub.files.clear()
    assert fetch(hub, tmp_path, place, offline="1").stdout == done.stdout
    frozen = fetch(hub, tmp_path, place | {"revision": COMMIT}, offline="1")
    assert frozen.stdout.splitlines() == [found]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            {"files": [{"path": "data/dev-*.jsonl"}]},
            "o/d at main: no file matches data/dev-*.jsonl; its layout has changed",
        ),
        ({"files": [{"path": "README.md"}], "revision": "v9"}, "o/d at v9"),
        ({"files": [{"path": "README.md"}], "hub": "o/other"}, "o/other at main"),
    ],
)
def test_what_is_not_there_is_one_line(hub, tmp_path, place, message):
    done = fetch(hub, tmp_path, place)
    assert done.returncode == 2 and done.stderr.strip().splitlines()[-1].startswith(f"error: {message}")
    assert "Traceback" not in done.stderr
