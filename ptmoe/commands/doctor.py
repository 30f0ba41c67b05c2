"""`ptmoe doctor`: list what a run needs and this machine lacks."""

from __future__ import annotations

import argparse

from ptmoe.checks.machine import Check
from ptmoe.config.params import Params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--profile", help="check this profile instead of the one in params.yaml")


def run(args: argparse.Namespace) -> int:
    """Prints one line per requirement of a run; returns 1 when one is missing."""
    from ptmoe.checks.inputs import base_check, method_checks, source_checks
    from ptmoe.checks.machine import machine_checks
    from ptmoe.config.params import read_yaml
    from ptmoe.config.project import params_file

    file = params_file()
    params = Params(read_yaml(file) | ({"profile": args.profile} if args.profile else {}), str(file))
    if file.is_absolute():
        print("no params.yaml here; these are the checks of the default run")
    print(
        f"profile {params.grid.profile}: {len(params.grid.tasks)} tasks x {len(params.grid.methods)} methods "
        f"x {len(params.grid.seeds)} seeds"
    )
    checks = [show(check) for check in machine_checks(params.profile)]
    base, config = base_check(params.profile.base)
    checks.append(show(base))
    checks += [show(check) for check in method_checks(params, config)]
    checks += [show(check) for check in source_checks(params)]
    missing = sum(check.state == "missing" for check in checks)
    print(f"{missing} of {len(checks)} things are missing" if missing else "nothing is missing")
    return 1 if missing else 0


def show(check: Check) -> Check:
    """Prints each check when it is done, because some wait for the network."""
    print(f"  {check.state:<8} {check.what}: {check.found}", flush=True)
    return check
