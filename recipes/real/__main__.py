"""`python -m recipes.real`: get a real base and real questions, say what the run will cost, and run it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from ptmoe.commands.sweep import SHARED_STAGES
from ptmoe.config.params import Params, read_yaml
from ptmoe.runtime.devices import visible_devices
from ptmoe.runtime.errors import PtmoeError, first_line, reported_to_user
from ptmoe.runtime.pool import in_processes
from ptmoe.runtime.progress import say
from recipes.real.weights import BASE, fetch_base

RECIPE = read_yaml(Path(__file__).with_name("recipe.yaml"))


def main() -> None:
    """Read the arguments and run; a second call goes on where the first was stopped."""
    parser = argparse.ArgumentParser(prog="python -m recipes.real", description=__doc__)
    parser.add_argument("--profile", default="smollm2")
    parser.add_argument("--size", choices=RECIPE["sizes"], default="hour", help="hour, or the profile as it is")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder of records (docs/real-model.md)")
    parser.add_argument("--mirror", help="a folder or URL with <source>/<file> (docs/data.md)")
    parser.add_argument(
        "-S", "--set", nargs="+", default=[], metavar="KEY=VALUE", help="values, as of `dvc exp run -S`"
    )
    parser.add_argument("-j", "--jobs", type=int, default=len(visible_devices()) or 1, help="cells at once")
    parser.add_argument("--estimate", action="store_true", help="stop after the estimate")
    arguments = parser.parse_args()
    fetch_base()
    set_params(settings(arguments.profile, arguments.size, arguments.mirror) + arguments.set)
    params = Params.load()
    if arguments.data:
        set_params(local_files(params, arguments.data))
    _run("dvc", "repro", *(stage for level in SHARED_STAGES for stage in level))
    _tell(params, arguments.jobs)
    if not arguments.estimate:
        _run("ptmoe", "sweep", "--jobs", str(arguments.jobs))
        print(Path("report/leaderboard.md").read_text(encoding="utf-8"))


def settings(profile: str, size: str, mirror: str | None) -> list[str]:
    """Lists the values of params.yaml that make a run of this recipe, in the form of `dvc exp run -S`."""
    place = f"profiles.{profile}"
    values = [f"profile={profile}", f"{place}.base.name={BASE}", f"{place}.base.revision=local"]
    if not visible_devices() and not has_matrix_unit():
        values.append(f"{place}.base.dtype=float32")
    if mirror:
        values.append(f"{place}.mirror='{mirror}'")
    return values + [value.replace("P.", f"{place}.", 1) for value in RECIPE["sizes"][size]]


def has_matrix_unit() -> bool:
    """Whether this CPU multiplies bfloat16 matrices itself; others take several times as long as with float32."""
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "amx_bf16" in cpu.read_text(encoding="utf-8")


def local_files(params: Params, folder: Path) -> list[str]:
    """Maps the sources that the tasks use to files of a records folder.

    Raises:
        PtmoeError: the folder has none of them.
    """
    values = []
    for task in params.grid.tasks:
        data = params.profile.data[task]
        for source in [*data.train, *data.in_domain, *data.out_of_domain]:
            path = folder / RECIPE["files"].get(source, "")
            if path.is_file():
                key = f"profiles.{params.grid.profile}.data.{task}.files.{source}"
                values.append(f"++{key}='{path.resolve()}'")
    if not values:
        raise PtmoeError(f"{folder} has no file of the tasks' sources; docs/real-model.md lists their places in it")
    return values


def set_params(values: list[str]) -> None:
    """Writes values into params.yaml.

    Raises:
        PtmoeError: a key or a value is not understood.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    try:
        apply_overrides("params.yaml", values)
    except DvcException as error:
        raise PtmoeError(f"params.yaml is not changed: {first_line(error.__cause__ or error)}") from None


def _tell(params: Params, jobs: int) -> None:
    from recipes.real.estimate import METHOD, estimate

    say(f"estimate: measuring a few rows of {', '.join(params.grid.tasks)} with {METHOD}")
    # In a process of its own, whose memory is free again when the cells start.
    ((_, cost),) = in_processes(estimate, [params], 1)
    free = shutil.disk_usage(".").free / 1e9
    say(
        f"estimate: {len(params.grid.cells)} cells, about {cost.hours / jobs:.2f} hours from nothing with {jobs} at "
        f"once, {cost.disk_gb:.1f} GB at most ({free:.0f} GB free); a stopped run goes on with the same command"
    )


def _run(module: str, *arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", module, *arguments]).returncode:
        raise PtmoeError(f"`{module} {' '.join(arguments)}` failed; see its message above")


if __name__ == "__main__":
    with reported_to_user():
        main()
