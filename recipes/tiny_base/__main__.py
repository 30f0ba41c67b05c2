"""`python -m recipes.tiny_base --output DIR`: train the tiny base from scratch."""

import argparse
from pathlib import Path

import torch

from recipes.tiny_base.train import pretrain


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m recipes.tiny_base", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model and its tokenizer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after this time at the latest")
    arguments = parser.parse_args()
    # A model of this size is not faster on more threads, and one thread makes the run repeatable.
    torch.set_num_threads(1)
    pretrain(arguments.output, arguments.seed, arguments.minutes)


if __name__ == "__main__":
    main()
