"""A clone of the project with a grid small enough to run in a test."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = {
    "methods": "[untuned,pt,ptmoe]",
    "tasks": "[math]",
    "profiles.mini.data.math.train_rows": "96",
    "profiles.mini.data.math.validation_rows": "16",
    "profiles.mini.data.math.test_rows": "8",
    "profiles.mini.steps.pt": "6",
    "profiles.mini.steps.ptmoe": "6",
    "profiles.mini.train.eval_steps": "3",
    "profiles.mini.train.save_steps": "2",
    "profiles.mini.max_new_tokens.math": "8",
    "statistics.resamples": "100",
}


class Project:
    """A project folder in which commands are run as a user would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seconds: dict[str, float] = {}
        # DVC starts `python`: it must be the one that runs the tests, and its queue must find Git's identity.
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@example.org",
        }

    def run(self, *command: str, status: int | None = 0) -> str:
        """Runs a command; returns its output and checks its exit status unless `status` is None."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert status is None or done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def timed_repro(self) -> dict[str, float]:
        """Runs the pipeline; returns the seconds of each stage's command and of saving what it wrote."""
        with self.start("repro") as process:
            assert process.stdout is not None
            began, stage = {}, ""
            for line in process.stdout:
                if line.startswith("Running stage"):
                    stage = line.split("'")[1]
                elif line.startswith("> "):
                    began[stage] = time.monotonic()
        assert process.returncode == 0
        ends = [*list(began.values())[1:], time.monotonic()]
        return {name: end - start for (name, start), end in zip(began.items(), ends, strict=True)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts DVC as the first of a group of processes, so that all of them can be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def dvc(self, *arguments: str, status: int | None = 0) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, status=status)

    def set(self, **values: str) -> None:
        """Writes parameters as `dvc exp run -S` does."""
        from dvc.utils.hydra import apply_overrides

        apply_overrides(self.root / "params.yaml", [f"{key}={value}" for key, value in values.items()])

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "-m", message)

    def git_status(self) -> str:
        return self.run("git", "status", "--porcelain")


def clone(project_root: Path, target: Path) -> Project:
    """Copies what Git tracks (or would track) and commits it as a project of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (project_root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project_root / name, target / name)
    project = Project(target)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("git", "config", "user.name", "test")
    project.run("git", "config", "user.email", "test@example.org")
    return project


@pytest.fixture(scope="module")
def small_run(project_root, tmp_path_factory) -> Project:
    """The small grid, run once and committed."""
    project = clone(project_root, tmp_path_factory.mktemp("clone") / "ptmoe")
    shutil.rmtree(project.root / "metrics", ignore_errors=True)
    (project.root / "dvc.lock").unlink(missing_ok=True)
    project.set(**SMALL)
    project.commit("small grid")
    project.seconds = project.timed_repro()
    project.commit("results")
    return project
