"""Results that a colleague takes from an S3-compatible object store: moto's server on this machine."""

import importlib.util

import pytest

from tests.pipeline.conftest import Project

MISSING = [name for name in ("dvc_s3", "moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

PIPELINE = """
stages:
  double:
    cmd: echo run >> ../ran.txt && mkdir -p out && cat in.txt in.txt > out/twice.txt
    deps:
    - in.txt
    outs:
    - out
"""


@pytest.fixture
def bucket(monkeypatch):
    """The address of a server with an empty bucket; credentials come from the environment, as with a real one."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="bucket")
    yield address
    server.stop()


@pytest.fixture
def project(tmp_path, bucket):
    """A repository of one stage, run once; each run is noted beside the clones and not in them."""
    root = tmp_path / "owner"
    root.mkdir()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "in.txt").write_text("text\n")
    made = Project(root)
    made.run("git", "init", "--quiet", "--initial-branch", "main")
    made.dvc("init", "--quiet")
    made.dvc("remote", "add", "--default", "store", "s3://bucket/results")
    made.dvc("remote", "modify", "store", "endpointurl", bucket)
    made.dvc("repro", "--quiet")
    made.commit("results")
    return made


def test_a_colleague_takes_all_results_from_an_object_store(project, tmp_path):
    project.dvc("push", "--run-cache")

    project.run("git", "clone", "--quiet", str(project.root), str(tmp_path / "colleague"))
    colleague = Project(tmp_path / "colleague")
    colleague.dvc("pull", "--run-cache")
    assert (colleague.root / "out/twice.txt").read_text() == "text\ntext\n"
    assert "didn't change" in colleague.dvc("repro")
    # Without its lock the stage is known from the run cache alone.
    (colleague.root / "dvc.lock").unlink()
    assert "is cached" in colleague.dvc("repro")
    assert (tmp_path / "ran.txt").read_text() == "run\n"
    assert not colleague.git_status()


def test_without_credentials_dvc_says_so(project):
    project.environment = {k: v for k, v in project.environment.items() if not k.startswith("AWS_")}
    nothing = project.root.with_name("no-keys")
    nothing.touch()
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": str(nothing), "AWS_CONFIG_FILE": str(nothing)}
    project.environment |= elsewhere | {"AWS_EC2_METADATA_DISABLED": "true"}
    assert "Unable to locate credentials" in project.dvc("push", status=255)
