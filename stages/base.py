"""Pin the base model, its tokenizer and its sizes."""

from __future__ import annotations

from ptmoe.config.cells import BASE_DIR
from ptmoe.config.stage import StageParams
from ptmoe.runtime.errors import reported_to_user


def main() -> None:
    with StageParams.running("base") as params:
        base = params.base

        # Imported once the parameters are known to be good: it takes seconds.
        from ptmoe.base.model import prepare_base

        prepare_base(base, BASE_DIR)


if __name__ == "__main__":
    with reported_to_user():
        main()
