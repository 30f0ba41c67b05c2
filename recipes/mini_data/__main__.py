"""`python -m recipes.mini_data`: write the records of profile `mini`, and print what sources.yaml lists of them."""

import gzip
import json
from collections.abc import Iterator

from ptmoe.runtime.files import sha256_of
from ptmoe.sources.fetch import SHIPPED
from recipes.mini_data import TEST_SETS, generate

SEED = 0
TRAIN_ROWS = 2500
TEST_ROWS = 100


def files() -> Iterator[tuple[str, bytes]]:
    """The path of each file below ptmoe/sources/mini, and its JSONL before compression."""
    for task in TEST_SETS:
        for name, records in generate(task, SEED, TRAIN_ROWS, TEST_ROWS).items():
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            yield f"{task}/{name}.jsonl.gz", "".join(lines).encode()


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
