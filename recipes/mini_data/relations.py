"""The facts of the passages: each relation with its sentences, its questions and the pool of its values."""

from dataclasses import dataclass

from recipes.mini_data.tables import table


@dataclass(frozen=True)
class Relation:
    """One kind of fact. `{s}` is the subject and `{v}` the value, which is the answer."""

    pool: str
    sentences: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """Relations that share a kind of subject: the words of `subjects`, in the frame `subject_form`."""

    subjects: str
    relations: tuple[Relation, ...]
    subject_form: str = "{s}"


_TOPICS = {
    name: Topic(
        topic["subjects"],
        tuple(Relation(one["pool"], tuple(one["sentences"]), tuple(one["questions"])) for one in topic["relations"]),
        topic["subject_form"],
    )
    for name, topic in table("relations").items()
}
PEOPLE, PLACES, OBJECTS, LONGER_PEOPLE = (_TOPICS[name] for name in ("people", "places", "objects", "longer_people"))
