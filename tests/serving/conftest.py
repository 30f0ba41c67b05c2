import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")


@pytest.fixture(scope="session")
def adapters(shared_world, tmp_path_factory):
    from tests.serving.running import adapters_of

    return adapters_of(shared_world.writing_to(tmp_path_factory.mktemp("served")))
