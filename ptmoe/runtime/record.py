"""What DVC knows of stages: which are up to date, which results it can restore, and new results to remember.

DVC itself writes all of dvc.lock twice for each stage that it runs. Here it is written once for many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def outdated(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the stages that have to run, e.g. `train@qa-pt-0`, and those whose results DVC remembered.

    The old outputs of the former are removed, those of the latter put back; all others are up to date.
    """
    from dvc.stage.cache import RunCacheNotFoundError

    left, restored = [], []
    with _stages(names) as stages:
        for stage in stages:
            if stage.changed():
                stage.remove_outs()
                try:
                    stage.repo.stage_cache.restore(stage)
                    restored.append(stage)
                except RunCacheNotFoundError:
                    left.append(stage.addressing)
        _write(restored)
    return left, [stage.addressing for stage in restored]


def record(names: Sequence[str]) -> None:
    """Writes the results of stages into DVC's cache and dvc.lock."""
    with _stages(names) as stages:
        _write(stages)


@contextmanager
def _stages(names: Sequence[str]) -> Iterator[list[Any]]:
    if not names:  # to open the repository takes DVC a second
        yield []
        return
    from dvc.repo import Repo

    with Repo() as repo, repo.lock, repo.scm_context:
        found = {stage.addressing: stage for stage in repo.index.stages}
        yield [found[name] for name in names]


def _write(stages: Sequence[Any]) -> None:
    for stage in stages:
        stage.save()
        stage.commit()
    if stages:
        stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
