"""The words of the mini tasks, in two parts that share none: one to learn from, one to be tested on."""

TRAIN = "train"
TEST = "test"


def _pool(train: str, test: str) -> dict[str, tuple[str, ...]]:
    return {TRAIN: tuple(train.split()), TEST: tuple(test.split())}


POOLS: dict[str, dict[str, tuple[str, ...]]] = {
    "person": _pool(
        "Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Mara Noah Olga Paul Rosa Sam Tina "
        "Victor Wanda Adam Bella Carl Dora Erik Fiona Gina Hugo Ida Jonas Karin Lars Mona Nils Otto Petra "
        "Ralf Sara Tom Ursula Walter Nora Simon Lena Martin Eva Peter",
        "Linda Kim Dan Ken Ron Sally Erika Leon Jacky Carlo Paulo Lea Bob Irma Stella Frank Oscar Harold Selma Alma",
    ),
    "town": _pool(
        "Arden Belford Carlow Denby Elston Fairham Garton Harwick Ilton Kenford Larbury Marden Norham "
        "Oakley Penby Redford Salton Tarwick Upton Walden Ashton Berwick Colby Dunham Eastford Felton "
        "Grimsby Hartley Kelby Linton Melford Newham Otley Preston Ripley Selby Thornham Wenham Barton "
        "Corby",
        "Farwick Holby Norton Warden Denham Harton Elton Redby Walton Linby Salford Carford Norford Asham "
        "Melby Dunford Penham Lenham Belby Berton",
    ),
    "job": _pool(
        "baker doctor teacher farmer painter singer lawyer driver nurse writer miller cook dancer hunter "
        "fisher builder printer joiner potter weaver judge guard clerk waiter butcher gardener actor barber "
        "banker sailor",
        "plumber miner seller trader reader maker finder",
    ),
    "animal": _pool(
        "dog cat horse goat parrot rabbit donkey sheep turtle hamster duck goose pony snake mouse canary pig hen",
        "swan calf cow bear lion rat toad seal dove hare carp moth panda",
    ),
    "hobby": _pool(
        "chess tennis football painting dancing singing cooking fishing sailing reading swimming riding "
        "running cycling climbing hiking skating knitting drawing rowing",
        "boxing gardening collecting surfing bowling sewing",
    ),
    "river": _pool(
        "Alder Brent Calder Derwent Elbe Frome Glen Hamble Irwell Kennet Lune Medway Nene Orwell Parrett "
        "Ribble Severn Tamar Usk Wharfe",
        "Dart Tay Don Cam Ouse Soar Tame Eden Kent Cary Bure Tud",
    ),
    "product": _pool(
        "cheese wine bread honey paper glass wool silk salt beer butter leather pottery cloth soap iron "
        "timber sugar apples carpets",
        "lace tea corn meat ham milk jam ink",
    ),
    "building": _pool(
        "castle bridge church tower market museum garden theatre library harbour school station mill abbey palace",
        "fort inn bank shop store manor dock forge",
    ),
    "object": _pool("", "lamp clock chair basket mirror statue violin kettle cabinet carpet bowl ladder"),
    "colour": _pool("", "red green black white grey brown yellow purple"),
    "material": _pool("", "oak marble bronze clay silver bamboo ivory plastic granite rubber"),
    "room": _pool("", "kitchen cellar attic hallway bedroom garage office corridor"),
    "item": _pool(
        "apples pens books coins stamps cards eggs balls plums shells stones buttons cups plates keys nuts "
        "marbles flowers cakes toys",
        "pins lamps bells pots jars pies hens notes tops dates",
    ),
}
TEST_YEAR_MODULUS = 7


def years(part: str) -> tuple[str, ...]:
    """Years from 1801 to 1999; every seventh is kept for the tests."""
    held_out = part == TEST
    return tuple(str(year) for year in range(1801, 2000) if (year % TEST_YEAR_MODULUS == 0) == held_out)


def words(pool: str, part: str) -> tuple[str, ...]:
    """The words of `pool` that belong to `part`, "train" or "test"."""
    return years(part) if pool == "year" else POOLS[pool][part]
