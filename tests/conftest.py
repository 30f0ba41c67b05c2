"""What all tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.training.world import World

# The same examples in every run: what fails here fails everywhere.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real records, where they lie beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real records in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory) -> World:
    from tests.training.world import World  # torch is only for the tests that train

    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(shared_world, tmp_path, monkeypatch) -> World:
    """The shared inputs of training and generation, with outputs of one's own."""
    monkeypatch.chdir(tmp_path)
    return shared_world.writing_to(tmp_path)
