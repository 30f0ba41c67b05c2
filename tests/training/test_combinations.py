"""Every method with every `deepspeed`, on one device and two, with and without gradient checkpointing.

All 24 x 4 x 2 x 2 combinations run two steps on a tiny random base, those of two devices as processes on the CPU that
are started once. A combination gives the losses of plain training on one device, or is refused before the first step.
"""

from itertools import product
from pathlib import Path

import pytest

from ptmoe.config.params import known_methods
from ptmoe.runtime.launch import launch
from ptmoe.tuning.registry import method_params
from tests.methods.cases import every_method
from tests.training.many import Runs, train_or_refuse

DEEPSPEED = ["off", "zero1", "zero2", "zero3"]
KINDS = list(product([1, 2], DEEPSPEED, [False, True]))
# What gives a router another rate than the experts, or fits it to rows again.
FITTED = {"router_init": "gradients", "router_refits": [1]}
REFUSED = ["ptmoe_continual", "ptmoe_hierarchical", "ptmoe_routed"]
TRAIN = {"batch_size": 6, "micro_batch_size": 2, "steps": 2, "eval_steps": 1, "log_steps": 1, "save_steps": 9}


def log_of(folder: Path, method: str, devices: int, deepspeed: str, checkpointing: bool) -> Path:
    return folder / f"{devices}-{deepspeed}-{checkpointing}" / f"qa-{method}-0.tsv"


@pytest.fixture(scope="module")
def trained(shared_world, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("combinations")
    every = every_method(folder / "source")
    every["ptmoe_routed"] |= FITTED
    for devices in (1, 2):
        cells = []
        for method, deepspeed, checkpointing in product(known_methods(), DEEPSPEED, [False, True]):
            log = log_of(folder, method, devices, deepspeed, checkpointing)
            changes = {"deepspeed": deepspeed, "gradient_checkpointing": checkpointing}
            cell = shared_world.writing_to(folder).arguments("pt", log.parent.name, **TRAIN, **changes)
            names = {"method_name": method, "method_params": method_params(method, every[method])}
            cells.append(cell | names | {"adapter_dir": log.with_suffix(""), "log_file": log, "learning_rate": 0.01})
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(folder)
            launch(train_or_refuse, Runs(folder, cells), devices)
    return folder


def numbers(log: Path) -> list[float]:
    return [float(value or 0) for line in log.read_text().splitlines()[1:] for value in line.split("\t")]


@pytest.mark.parametrize("method", known_methods())
def test_a_combination_trains_as_plain_training_does_or_is_refused(trained, method):
    plain = log_of(trained, method, 1, "off", False)
    for devices, deepspeed, checkpointing in KINDS:
        log = log_of(trained, method, devices, deepspeed, checkpointing)
        if method in REFUSED and devices > 1 and deepspeed != "off":
            message = log.with_suffix(".refused").read_text()
            assert message.startswith(f"deepspeed: {deepspeed} ") and message.endswith("; set deepspeed to off")
            assert not log.exists() and message.count("\n") == 0
        else:
            assert numbers(log) == pytest.approx(numbers(plain), rel=1e-4, abs=2e-5), log.parent.name
    if method != "untuned":
        header, *lines = (line.split("\t") for line in plain.read_text().splitlines())
        norms = [float(line[header.index("grad_norm")]) for line in lines[1:]]
        assert all(norm > 0 for norm in norms) and len(norms) == 2
