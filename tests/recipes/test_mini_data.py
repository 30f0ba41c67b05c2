"""The generated data sets: sizes, answers that are right, and test sets that share nothing with training."""

import gzip
import re
from collections.abc import Iterator

import pytest

from ptmoe.sources.fetch import SHIPPED
from recipes.mini_data import TEST_SETS, generate
from recipes.mini_data.__main__ import files
from recipes.mini_data.math import LARGEST_FACTOR, LARGEST_FIRST, LARGEST_NEXT
from recipes.mini_data.records import Record
from recipes.mini_data.words import POOLS, TEST, TRAIN

TRAIN_ROWS, TEST_ROWS = 600, 100
FIRST_QUESTION = "On which river does Berwick lie?"


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, list[Record]]]:
    return {task: generate(task, 0, TRAIN_ROWS, TEST_ROWS) for task in TEST_SETS}


def every_record(made: dict[str, dict[str, list[Record]]], task: str) -> Iterator[Record]:
    for records in made[task].values():
        yield from records


def words_of(record: Record) -> set[str]:
    return set(re.findall(r"\w+", f"{record.get('context', '')} {record['question']}"))


@pytest.mark.parametrize("task", ["qa", "math"])
def test_has_the_sizes_and_sets_asked_for(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    sizes = {name: len(records) for name, records in made[task].items()}
    assert sizes == {"train": TRAIN_ROWS} | dict.fromkeys(TEST_SETS[task], TEST_ROWS)
    kinds = list(TEST_SETS[task].values())
    assert kinds.count("in-domain") >= 2 and kinds.count("out-of-domain") >= 2


@pytest.mark.parametrize("task", ["qa", "math"])
def test_same_seed_gives_same_records(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    assert generate(task, 0, TRAIN_ROWS, TEST_ROWS) == made[task]
    assert generate(task, 1, TRAIN_ROWS, TEST_ROWS)["train"] != made[task]["train"]


def test_the_shipped_files_are_what_the_recipe_writes() -> None:
    shipped = {path.relative_to(SHIPPED).as_posix(): path.read_bytes() for path in SHIPPED.rglob("*.gz")}
    # Compressed bytes may differ between versions of zlib; the header holds flags and time, all zero.
    assert {path: gzip.decompress(packed) for path, packed in shipped.items()} == dict(files())
    assert all(packed[3:8] == bytes(5) for packed in shipped.values())


def test_first_record_never_changes(made: dict[str, dict[str, list[Record]]]) -> None:
    """A constant from another machine: the stream of random numbers must not depend on the Python version."""
    assert made["qa"]["train"][0]["question"] == FIRST_QUESTION


def test_more_rows_extend_fewer_rows() -> None:
    assert generate("qa", 0, 50, 5)["train"] == generate("qa", 0, 90, 5)["train"][:50]


@pytest.mark.parametrize("task", ["qa", "math"])
def test_ids_and_questions_are_unique(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    records = list(every_record(made, task))
    assert len({record["id"] for record in records}) == len(records)
    assert len({(record["question"], record.get("context")) for record in records}) == len(records)


@pytest.mark.parametrize("task", ["qa", "math"])
def test_groups_do_not_cross_sets(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    groups = [{record["group"] for record in records} for records in made[task].values()]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_one_group_is_one_passage(made: dict[str, dict[str, list[Record]]]) -> None:
    passages: dict[str, set[str]] = {}
    for record in every_record(made, "qa"):
        passages.setdefault(record["group"], set()).add(record["context"])
    assert all(len(contexts) == 1 for contexts in passages.values())


def test_answer_stands_once_in_the_passage(made: dict[str, dict[str, list[Record]]]) -> None:
    for record in every_record(made, "qa"):
        assert record["answers"] == [record["target"]]
        assert len(re.findall(rf"\b{record['target']}\b", record["context"])) == 1


def test_every_step_of_a_solution_is_right(made: dict[str, dict[str, list[Record]]]) -> None:
    calculate = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
    for record in every_record(made, "math"):
        *steps, end = record["target"].split(". ")
        before = None
        for line in steps:
            left, operation, right, result = re.fullmatch(r"(\d+) ([-+*]) (\d+) = (\d+)", line).groups()
            assert calculate[operation](int(left), int(right)) == int(result) > 0
            assert before in (None, left)
            before = result
        assert end == f"The answer is: {before}" and record["answers"] == [before]


def test_numbers_of_the_solution_stand_in_the_question(made: dict[str, dict[str, list[Record]]]) -> None:
    for record in every_record(made, "math"):
        steps = re.findall(r"(\d+) [-+*] (\d+)", record["target"])
        used = [steps[0][0], *(right for _, right in steps)]
        assert re.findall(r"\d+", record["question"]) == used
        assert max(map(int, used)) <= max(LARGEST_FIRST, LARGEST_NEXT, LARGEST_FACTOR)


def test_test_sets_hold_sums_that_training_lacks(made: dict[str, dict[str, list[Record]]]) -> None:
    def sums(record: Record) -> set[str]:
        return set(re.findall(r"\d+ [-+] \d+", record["target"]))

    learnt = set().union(*(sums(record) for record in made["math"]["train"]))
    for name in TEST_SETS["math"]:
        assert all(sums(record) - learnt for record in made["math"][name])


def test_word_pools_of_training_and_tests_are_disjoint() -> None:
    for pool in POOLS.values():
        assert not set(pool[TRAIN]) & set(pool[TEST])


@pytest.mark.parametrize(("task", "pools"), [("qa", ("person", "town", "river")), ("math", ("person", "item"))])
def test_test_names_are_new(made: dict[str, dict[str, list[Record]]], task: str, pools: tuple[str, ...]) -> None:
    learnt = set().union(*(words_of(record) for record in made[task]["train"]))
    held_out = {word for pool in pools for word in POOLS[pool][TEST]}
    assert not learnt & held_out
    known = {word for pool in pools for word in POOLS[pool][TRAIN]}
    for name in TEST_SETS[task]:
        assert not any(words_of(record) & known for record in made[task][name])


def test_answers_of_the_qa_tests_are_new(made: dict[str, dict[str, list[Record]]]) -> None:
    learnt = {record["target"] for record in made["qa"]["train"]}
    for name in TEST_SETS["qa"]:
        assert not learnt & {record["target"] for record in made["qa"][name]}


@pytest.mark.parametrize("task", ["qa", "math"])
def test_out_of_domain_forms_are_new(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    """Questions without names and numbers: in-domain forms occur in training, out-of-domain ones never do."""

    def form(record: Record) -> str:
        nouns = "|".join(word for pool in POOLS.values() for words in pool.values() for word in words)
        return re.sub(rf"\b({nouns}|\d+)\b", "_", record["question"])

    learnt = {form(record) for record in made[task]["train"]}
    for name, kind in TEST_SETS[task].items():
        forms = {form(record) for record in made[task][name]}
        assert forms <= learnt if kind == "in-domain" else not forms & learnt


def test_unknown_task_is_an_error() -> None:
    with pytest.raises(KeyError):
        generate("poems", 0, 1, 1)
