"""Pin the base model, its tokenizer and its sizes."""

from ptmoe.config.cells import BASE_DIR
from ptmoe.config.stage import StageParams, run_stage


def main(params: StageParams) -> None:
    base = params.base
    from ptmoe.base.model import prepare_base

    prepare_base(base, BASE_DIR)


if __name__ == "__main__":
    run_stage("base", main)
