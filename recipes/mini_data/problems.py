"""The sentence forms of the word problems, and the grades that are made of them."""

from dataclasses import dataclass

from recipes.mini_data.tables import table

Forms = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Grade:
    """One kind of problem.

    Attributes:
        forms: sentence forms by the operations that solve them.
        remarks: how many sentences are added that have a number and are irrelevant to the question.
        first: smallest and largest number that the solution starts from.
    """

    forms: Forms
    remarks: int = 0
    first: tuple[int, int] = (2, 20)


_TABLE = table("problems")
FORMS: dict[str, Forms] = {
    kind: {operations: tuple(texts) for operations, texts in forms.items()} for kind, forms in _TABLE["forms"].items()
}
ONE_STEP, TWO_STEP = FORMS["one_step"], FORMS["two_step"]
REMARKS: tuple[str, ...] = tuple(_TABLE["remarks"])
GRADES: dict[str, Grade] = {
    name: Grade(FORMS[grade["forms"]], grade.get("remarks", 0), tuple(grade.get("first", Grade.first)))
    for name, grade in _TABLE["grades"].items()
}
TRAIN_GRADES: list[str] = _TABLE["train"]
IN_DOMAIN: list[str] = _TABLE["in_domain"]
OUT_OF_DOMAIN: list[str] = _TABLE["out_of_domain"]
