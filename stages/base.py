"""Pin the base model, its tokenizer and its sizes."""

from __future__ import annotations

from ptmoe.cells import BASE_DIR
from ptmoe.errors import reported_to_user
from ptmoe.stage import StageParams


def main() -> None:
    params = StageParams("base")
    base = params.base

    # Imported once the parameters are known to be good: it takes seconds.
    from ptmoe.models.base import prepare_base

    prepare_base(base, BASE_DIR)


if __name__ == "__main__":
    with reported_to_user():
        main()
