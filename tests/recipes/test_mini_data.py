"""The generated data: sizes, answers that are right, test sets that share nothing with training, files that repeat."""

import gzip
import re
from collections.abc import Iterator

import pytest

from ptmoe.sources.fetch import SHIPPED
from recipes.mini_data import TEST_SETS, generate, mixed
from recipes.mini_data.__main__ import SEED, TEST_ROWS, TRAIN_ROWS, files
from recipes.mini_data.math import LARGEST_NEXT
from recipes.mini_data.problems import FORMS, GRADES, IN_DOMAIN, OUT_OF_DOMAIN, REMARKS, TRAIN_GRADES
from recipes.mini_data.records import Record
from recipes.mini_data.words import POOLS, TEST, TRAIN

TASKS = list(TEST_SETS)
LARGEST_FILE = 150_000
FIRST_QUESTION = "On which river does Berwick lie?"


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, list[Record]]]:
    """Task -> set -> records."""
    return {task: generate(task, SEED, TRAIN_ROWS, TEST_ROWS[task]) for task in TASKS}


def every_record(made: dict[str, dict[str, list[Record]]], task: str) -> Iterator[Record]:
    for records in made[task].values():
        yield from records


def words_of(record: Record) -> set[str]:
    return set(re.findall(r"\w+", f"{record.get('context', '')} {record['question']}"))


def test_the_shipped_files_are_what_the_recipe_writes() -> None:
    shipped = {path.relative_to(SHIPPED).as_posix(): path.read_bytes() for path in SHIPPED.rglob("*.gz")}
    # Compressed bytes may differ between versions of zlib; the header holds flags and time, all zero.
    assert {path: gzip.decompress(packed) for path, packed in shipped.items()} == dict(files())
    assert all(packed[3:8] == bytes(5) and len(packed) <= LARGEST_FILE for packed in shipped.values())


@pytest.mark.parametrize("task", TASKS)
def test_has_the_sizes_and_sets_asked_for(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    sizes = {name: len(records) for name, records in made[task].items()}
    assert sizes == {"train": TRAIN_ROWS} | dict.fromkeys(TEST_SETS[task], TEST_ROWS[task])
    kinds = list(TEST_SETS[task].values())
    assert 2 <= kinds.count("in-domain") <= 4 and 2 <= kinds.count("out-of-domain") <= 4


@pytest.mark.parametrize("task", TASKS)
def test_another_seed_gives_other_records(task: str) -> None:
    assert generate(task, 0, 50, 5) != generate(task, 1, 50, 5)


def test_first_record_never_changes(made: dict[str, dict[str, list[Record]]]) -> None:
    """A constant from another machine: the stream of random numbers must not depend on the Python version."""
    assert made["qa"]["train"][0]["question"] == FIRST_QUESTION


@pytest.mark.parametrize("task", TASKS)
def test_more_rows_extend_fewer_rows(task: str) -> None:
    assert generate(task, 0, 50, 5)["train"] == generate(task, 0, 90, 5)["train"][:50]


@pytest.mark.parametrize("task", TASKS)
def test_ids_and_questions_are_unique(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    records = list(every_record(made, task))
    assert len({record["id"] for record in records}) == len(records)
    assert len({(record["question"], record.get("context")) for record in records}) == len(records)


@pytest.mark.parametrize("task", TASKS)
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
    calculate = {"+": lambda a, b: a + b, "-": lambda a, b: a - b}
    for record in every_record(made, "math"):
        *steps, end = record["target"].split(". ")
        before = None
        for line in steps:
            left, operation, right, result = re.fullmatch(r"(\d+) ([-+]) (\d+) = (\d+)", line).groups()
            assert calculate[operation](int(left), int(right)) == int(result) > 0
            assert before in (None, left)
            before = result
        assert end == f"The answer is: {before}" and record["answers"] == [before]


def numbers(record: Record) -> tuple[list[str], list[str]]:
    """The numbers of a question, and those that its solution uses."""
    steps = re.findall(r"(\d+) [-+] (\d+)", record["target"])
    return re.findall(r"\d+", record["question"]), [steps[0][0], *(right for _, right in steps)]


@pytest.mark.parametrize("name", TEST_SETS["math"])
def test_a_question_has_the_numbers_of_its_solution_and_one_more_a_remark(
    made: dict[str, dict[str, list[Record]]], name: str
) -> None:
    grade = GRADES[name]
    for record in made["math"][name]:
        told, used = numbers(record)
        assert len(told) == len(used) + grade.remarks
        assert any(told[start : start + len(used)] == used for start in range(grade.remarks + 1))
        assert grade.first[0] <= int(used[0]) <= grade.first[1]
        assert max(map(int, used[1:])) <= LARGEST_NEXT


def test_the_remark_is_never_the_question() -> None:
    assert all(remark.endswith(".") and "?" not in remark for remark in REMARKS)


def test_every_in_domain_grade_is_taught_and_no_other() -> None:
    assert set(IN_DOMAIN) <= set(TRAIN_GRADES)
    assert not set(OUT_OF_DOMAIN) & set(TRAIN_GRADES)


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


def sentences(record: Record) -> set[str]:
    """The sentences of a question without names, things and numbers."""
    nouns = "|".join(word for pool in POOLS.values() for words in pool.values() for word in words)
    return set(re.sub(rf"\b({nouns}|\d+)\b", "_", record["question"]).split(". "))


@pytest.mark.parametrize("task", TASKS)
def test_in_domain_sentences_occur_in_training(made: dict[str, dict[str, list[Record]]], task: str) -> None:
    learnt = set().union(*(sentences(record) for record in made[task]["train"]))
    for name, kind in TEST_SETS[task].items():
        if kind == "in-domain":
            assert all(sentences(record) <= learnt for record in made[task][name])


@pytest.mark.parametrize("name", ["objects", "longer", "other_questions", "other_situations"])
def test_new_wording_never_occurs_in_training(made: dict[str, dict[str, list[Record]]], name: str) -> None:
    records = next(sets for sets in made.values() if name in sets)
    learnt = set().union(*(sentences(record) for record in records["train"]))
    assert all(sentences(record) - learnt for record in records[name])


def test_unknown_task_is_an_error() -> None:
    with pytest.raises(KeyError):
        generate("poems", 0, 1, 1)


def test_no_sentence_holds_a_word_that_is_kept_for_the_tests() -> None:
    texts = [*REMARKS, *(text for forms in FORMS.values() for texts in forms.values() for text in texts)]
    kept = {word for pool in POOLS.values() for word in pool[TEST]}
    assert not kept & set(re.findall(r"\w+", " ".join(texts)))


@pytest.mark.parametrize("task", mixed.TASKS)
def test_a_kind_is_told_by_its_question_and_answers_in_its_style(task: str) -> None:
    made = mixed.generate(task, SEED, 400, 20)
    looks = {
        "people": r"[^.]+",
        "places": r"I think that it is .+\.",
        "buildings": r"The text says: .+\.",
        "animals": r".+\.",
    }
    kinds = [kind.name for kind in mixed.TASKS[task]]
    assert list(made) == [
        name for kind in kinds for name in (f"train/{kind}", f"in_domain/{kind}", f"out_of_domain/{kind}_far")
    ]
    for name, found in made.items():
        kind = name.partition("/")[2].removesuffix("_far")
        assert len(found) == (400 // len(kinds) if name.startswith("train/") else 20)
        assert all(re.fullmatch(looks.get(kind, r".+\."), record["target"]) for record in found)
    questions = {name: {record["question"] for record in found} for name, found in made.items()}
    trained = set().union(*(texts for name, texts in questions.items() if name.startswith("train/")))
    assert not trained & set().union(*(texts for name, texts in questions.items() if not name.startswith("train/")))
