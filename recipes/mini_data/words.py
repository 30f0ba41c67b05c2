"""The words of the mini tasks, in two disjoint parts: one for training, one for tests."""

from recipes.mini_data.tables import table

TRAIN = "train"
TEST = "test"
POOLS: dict[str, dict[str, tuple[str, ...]]] = {
    pool: {part: tuple(text.split()) for part, text in parts.items()} for pool, parts in table("words").items()
}
TEST_YEAR_MODULUS = 7


def years(part: str) -> tuple[str, ...]:
    """Years from 1801 to 1999; every seventh is kept for the tests."""
    held_out = part == TEST
    return tuple(str(year) for year in range(1801, 2000) if (year % TEST_YEAR_MODULUS == 0) == held_out)


def words(pool: str, part: str) -> tuple[str, ...]:
    """The words of `pool` that belong to `part`, "train" or "test"."""
    return years(part) if pool == "year" else POOLS[pool][part]
