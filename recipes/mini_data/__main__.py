"""`python -m recipes.mini_data`: write the records of profile `mini`, and print their SHA-256 for sources.yaml."""

import gzip
import json
from collections.abc import Iterator

from ptmoe.runtime.files import sha256_of
from ptmoe.sources.fetch import SHIPPED
from recipes.mini_data import TEST_SETS, generate, mixed
from recipes.mini_data.records import Record

SEED = 0
TRAIN_ROWS = 2500
TEST_ROWS = {"qa": 100, "math": 125, "mixed": 100, "mixed4": 100}


def records() -> Iterator[tuple[str, list[Record]]]:
    """The name of each file below ptmoe/sources/mini, without its endings, and its records."""
    for make, tasks in ((generate, TEST_SETS), (mixed.generate, mixed.TASKS)):
        for task in tasks:
            for name, made in make(task, SEED, TRAIN_ROWS, TEST_ROWS[task]).items():
                yield f"{task}/{name}", made


def files() -> Iterator[tuple[str, bytes]]:
    """The path of each file below ptmoe/sources/mini, and its JSONL before compression."""
    for name, made in records():
        yield f"{name}.jsonl.gz", "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in made).encode()


def main() -> None:
    """Write every file, with neither a name nor a time in its header."""
    for path, content in files():
        target = SHIPPED / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
            packed.write(content)
        print(f"{path}: {sha256_of(target)}")


if __name__ == "__main__":
    main()
