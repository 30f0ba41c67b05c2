"""The records that the generators return."""

from collections.abc import Callable
from typing import Any

Record = dict[str, Any]


def distinct(count: int, make: Callable[[int], list[Record]]) -> list[Record]:
    """`count` records, no question twice; `make` gets the number of the next one and returns a few."""
    records: list[Record] = []
    seen: set[tuple[str, str]] = set()
    while len(records) < count:
        for record in make(len(records)):
            key = (record["question"], record.get("context", ""))
            if key not in seen:
                seen.add(key)
                records.append(record)
    return records[:count]
