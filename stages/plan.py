"""Write down what each stage is run with."""

from pathlib import Path

from ptmoe.config.params import Params, read_yaml
from ptmoe.config.plan import make_plans, write_plans
from ptmoe.runtime.errors import ParamsError, reported_to_user
from ptmoe.runtime.twins import only_one


def main() -> None:
    tree = read_yaml("params.yaml")
    params, plans = Params(tree), make_plans(tree)
    from ptmoe.tuning.registry import check_methods

    check_methods(params.methods)  # a mistake in a method's block must not wait for its cell
    write_plans(plans)
    if make_plans(read_yaml("params.yaml")) != plans:
        raise ParamsError("params.yaml or the code changed while the plan was made; run `dvc repro` again")


if __name__ == "__main__":
    with reported_to_user(), only_one("plan", Path(".checkpoints") / "plan.lock"):
        main()
