"""The accelerators of this machine, found without torch."""

from __future__ import annotations

import os
import subprocess


def visible_devices() -> list[str]:
    """Names the GPUs that CUDA_VISIBLE_DEVICES or the driver shows; empty on a machine without any."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in named.split(",") if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(index) for index in range(len(listed.splitlines()))]
