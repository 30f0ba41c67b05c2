"""What near duplicates add to equal questions, on pairs of real files, and what finding them costs.

python -m benchmarks.near ../shared/data
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ptmoe.examples.convert import Tally, examples_of
from ptmoe.examples.text import normalised
from ptmoe.sources.registry import Source
from ptmoe.splitting.near import near_duplicates

FILES = {
    "GSM8K train": ("gsm8k/train.jsonl", "gsm8k"),
    "GSM8K test": ("gsm8k/test.jsonl", "gsm8k"),
    "SVAMP": ("svamp/SVAMP.json", "svamp"),
    "ASDiv": ("asdiv/ASDiv.xml", "asdiv"),
    "MAWPS train": ("mawps/trainset.json", "mawps"),
    "MAWPS test": ("mawps/testset.json", "mawps"),
    "MATH500": ("math/math500_test.jsonl", "competition"),
    "MetaMath sample": ("metamathqa/records.json", "metamath"),
    "SQuAD train": ("mrqa/squad_train_5010.jsonl.gz", "reading"),
    "SQuAD test": ("mrqa/squad_test_1190.jsonl.gz", "reading"),
    "DROP": ("mrqa/drop_test_1500.jsonl.gz", "reading"),
}
PAIRS = (
    ("GSM8K test", "GSM8K train"),
    ("SVAMP", "GSM8K train"),
    ("ASDiv", "GSM8K train"),
    ("MAWPS test", "GSM8K train"),
    ("MATH500", "GSM8K train"),
    ("MetaMath sample", "GSM8K train"),
    ("MetaMath sample", "GSM8K test"),
    ("SVAMP", "ASDiv"),
    ("MAWPS test", "ASDiv"),
    ("MAWPS test", "MAWPS train"),
    ("SQuAD test", "SQuAD train"),
    ("DROP", "SQuAD train"),
)


def questions(folder: Path, name: str) -> list[str]:
    """Reads the normalised questions of a file."""
    file, converter = FILES[name]
    source = Source(converter=converter, licence="")
    return [normalised(made.question) for made in examples_of(name, source, [folder / file], False, Tally())]


def main() -> None:
    """Prints a table with a line a pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    near_duplicates(["warm"], ["up"])
    print("| rows of | rows | in | rows | equal | near | CPU |\n|---|---:|---|---:|---:|---:|---:|")
    for name, other in PAIRS:
        asked, known = questions(folder, name), questions(folder, other)
        started_s = time.process_time()
        near = near_duplicates(known, asked).sum()
        took_s = time.process_time() - started_s
        held = set(known)
        equal = sum(question in held for question in asked)
        print(f"| {name} | {len(asked):,} | {other} | {len(known):,} | {equal} | {near} | {took_s:.1f} s |")


if __name__ == "__main__":
    main()
