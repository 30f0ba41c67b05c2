import pytest

from tests.training.world import World


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(shared_world, tmp_path, monkeypatch) -> World:
    """The shared inputs, with outputs of one's own."""
    monkeypatch.chdir(tmp_path)
    return shared_world.writing_to(tmp_path)
