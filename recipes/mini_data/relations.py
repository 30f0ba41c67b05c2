"""What the passages can say: each relation with its sentences, its questions and the pool of its values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One kind of fact. `{s}` stands for the subject and `{v}` for the value, which is the answer."""

    pool: str
    sentences: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """Relations that share a kind of subject: the words of `subjects`, in the frame `subject_form`."""

    subjects: str
    relations: tuple[Relation, ...]
    subject_form: str = "{s}"


PEOPLE = Topic(
    "person",
    (
        Relation(
            "job",
            ("{s} works as a {v}.", "{s} is a {v} by trade.", "The job of {s} is {v}."),
            ("What does {s} work as?", "What is the job of {s}?"),
        ),
        Relation(
            "town",
            ("{s} lives in {v}.", "The home of {s} is in {v}.", "{s} has a house in {v}."),
            ("Where does {s} live?", "In which town is the home of {s}?"),
        ),
        Relation(
            "year",
            ("{s} was born in {v}.", "The birth year of {s} is {v}."),
            ("When was {s} born?", "In which year was {s} born?"),
        ),
        Relation(
            "animal",
            ("{s} owns a {v}.", "{s} keeps a {v} at home.", "The pet of {s} is a {v}."),
            ("Which animal does {s} own?", "What is the pet of {s}?"),
        ),
        Relation(
            "hobby",
            ("{s} likes {v}.", "The hobby of {s} is {v}.", "{s} enjoys {v} on Sundays."),
            ("What does {s} like?", "What is the hobby of {s}?"),
        ),
        Relation(
            "person",
            ("{s} is a friend of {v}.", "{s} often visits {v}."),
            ("Who is the friend of {s}?", "Who does {s} visit?"),
        ),
    ),
)
PLACES = Topic(
    "town",
    (
        Relation(
            "river",
            ("{s} lies on the river {v}.", "{s} stands on the banks of the {v}."),
            ("On which river does {s} lie?", "Which river runs through {s}?"),
        ),
        Relation(
            "year",
            ("{s} was founded in {v}.", "The town of {s} was built in {v}."),
            ("When was {s} founded?", "In which year was {s} built?"),
        ),
        Relation(
            "person",
            ("The mayor of {s} is {v}.", "{s} has {v} as its mayor."),
            ("Who is the mayor of {s}?", "Who leads {s}?"),
        ),
        Relation(
            "product",
            ("{s} is known for its {v}.", "{s} sells a lot of {v}.", "The people of {s} make {v}."),
            ("What is {s} known for?", "What do the people of {s} make?"),
        ),
        Relation(
            "building",
            ("{s} has an old {v}.", "Visitors to {s} go to the {v}."),
            ("Which old building does {s} have?", "Where do visitors to {s} go?"),
        ),
    ),
)
OBJECTS = Topic(
    "object",
    (
        Relation("material", ("{s} is made of {v}.", "{s} is a fine piece of {v}."), ("What is {s} made of?",)),
        Relation("room", ("{s} stands in the {v}.", "{s} belongs in the {v}."), ("In which room is {s}?",)),
        Relation("person", ("{s} was repaired by {v}.", "{v} repaired {s}."), ("Who repaired {s}?",)),
        Relation("colour", ("{s} is {v}.", "{s} was painted {v}."), ("What colour is {s}?",)),
        Relation("year", ("{s} was bought in {v}.", "{s} dates from {v}."), ("From which year is {s}?",)),
    ),
    "the {s}",
)
# Half of the sentences are those of PEOPLE; all of the questions are new.
LONGER_PEOPLE = Topic(
    "person",
    (
        Relation(
            "job",
            ("{s} works as a {v}.", "Since last year {s} works as a {v} at the harbour."),
            ("As what does {s} work?", "Which job does {s} have?"),
        ),
        Relation(
            "town",
            ("{s} lives in {v}.", "The new home of {s} is a flat in {v}."),
            ("In which town does {s} live?", "Where is the home of {s}?"),
        ),
        Relation(
            "year",
            ("{s} was born in {v}.", "{s} was born on a Sunday in {v}."),
            ("What is the birth year of {s}?", "In what year was {s} born?"),
        ),
        Relation(
            "animal",
            ("{s} owns a {v}.", "{s} has owned a {v} for many years."),
            ("Which pet does {s} have?", "What animal does {s} own?"),
        ),
        Relation(
            "hobby",
            ("{s} likes {v}.", "More than all the others {s} enjoys {v}."),
            ("What does {s} enjoy?", "Which hobby does {s} have?"),
        ),
    ),
)
