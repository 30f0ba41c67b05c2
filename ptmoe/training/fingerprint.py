"""The identity of a run: parameters, data, base model, code and libraries."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ptmoe.rows.encoded import checksums
from ptmoe.runtime.files import sha256_of
from ptmoe.training.job import TrainJob
from ptmoe.tuning.adapters import WEIGHTS_FILE

PACKAGE = Path(__file__).parents[1]
_CODE = ("base/*.py", "methods/*.py", "rows/*.py", "training/*.py", "tuning/*.py")


def about(job: TrainJob, base_fingerprint: str, processes: int, device: str) -> dict[str, Any]:
    """Returns everything that determines the bytes of an adapter, by name."""
    listed = checksums(job.encoded_dir)
    return {
        "method": job.method_name,
        "method_params": job.method_params.model_dump(),
        "train": job.train.model_dump(exclude={"devices"}),
        "steps": job.steps,
        "seed": job.seed,
        "batch_size": job.batch_size,
        "learning_rate": job.learning_rate,
        "base": base_fingerprint,
        "data": [listed.get(name) for name in ("train", "validation")],
        "init": sha256_of(job.init_file),
        "start": sha256_of(job.start / WEIGHTS_FILE) if job.start else None,
        "code": _digest_of_code(),
        "libraries": {name: version(name) for name in ("torch", "transformers", "peft")},
        "processes": processes,
        "device": device,
    }


def _digest_of_code() -> str:
    digest = hashlib.sha256()
    for pattern in _CODE:
        for path in sorted(PACKAGE.glob(pattern)):
            digest.update(f"{path.relative_to(PACKAGE)} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
