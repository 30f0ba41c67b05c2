"""`python -m recipes.mini_data --output DIR`: write every file of the mini data."""

import argparse
import gzip
import json
from pathlib import Path

from recipes.mini_data import TEST_SETS, generate
from recipes.mini_data.records import Record

SEED = 0
TRAIN_ROWS = 2500
TEST_ROWS = {"qa": 100, "math": 125}


def jsonl(records: list[Record]) -> bytes:
    """A record a line."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def write_files(output: Path) -> list[Path]:
    """Writes `<task>_train.jsonl.gz` and `<test set>.jsonl.gz` and returns them.

    Neither time nor name is in the files, so that the same compressor gives the same bytes again.
    """
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for task in TEST_SETS:
        for name, records in generate(task, SEED, TRAIN_ROWS, TEST_ROWS[task]).items():
            written.append(output / f"{f'{task}_train' if name == 'train' else name}.jsonl.gz")
            written[-1].write_bytes(gzip.compress(jsonl(records), mtime=0))
    return written


def main() -> None:
    """Read the argument, write, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m recipes.mini_data", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the files")
    for path in write_files(parser.parse_args().output):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
