"""Every raw form, on real records where they are at hand and on small ones of the same form."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from ptmoe.examples.convert import Tally, examples_of
from ptmoe.examples.converters.arithmetic import plain_number
from ptmoe.examples.converters.competition import boxed
from ptmoe.examples.text import digest, normalised
from ptmoe.runtime.errors import DataError
from ptmoe.sources.registry import Source
from tests.data.support import real, write_lines


def converted(path, converter, training=True, **source):
    tally = Tally()
    entry = Source(converter=converter, licence="", **source)
    return list(examples_of("name", entry, [path], training, tally)), tally


@pytest.mark.parametrize(("name", "rows"), [("train", 7473), ("test", 1319)])
def test_real_gsm8k(name, rows):
    made, tally = converted(real(f"gsm8k/{name}.jsonl"), "gsm8k", datasets={"GSM8K": rows})
    assert len(made) == rows and tally.rows == {"GSM8K": rows} and not tally.dropped
    assert all(example.answers[0].lstrip("-").replace(".", "").isdigit() for example in made)
    assert all(example.target.endswith(f"The answer is: {example.answers[0]}") for example in made)
    assert not any("<<" in example.target for example in made)
    assert len({example.id for example in made}) == rows


def test_real_svamp_test_rows_by_type(tmp_path):
    lines = real("svamp/chilled_order.jsonl").read_text(encoding="utf-8").splitlines()[700:]
    (tmp_path / "test.jsonl").write_text("\n".join(lines), encoding="utf-8")
    made, tally = converted(tmp_path / "test.jsonl", "svamp", training=False, datasets={"SVAMP": 300})
    sizes = {"Subtraction": 160, "Addition": 59, "Division": 48, "Multiplication": 33}
    assert tally.rows == {f"SVAMP/{kind}": size for kind, size in sizes.items()}
    assert all(example.answers[0].isdigit() for example in made)


def test_real_svamp_has_one_misspelt_type():
    made, tally = converted(real("svamp/SVAMP.json"), "svamp", training=False, datasets={"SVAMP": 1000})
    assert sum(tally.rows.values()) == 1000 and tally.rows["SVAMP/Division"] == 165 + 1
    assert [example.dataset for example in made if example.id == "chal-967"] == ["SVAMP/Division"]
    assert made[0].question.startswith(
        "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack. How"
    )


def test_real_asdiv_counts_problems_without_one_number():
    made, tally = converted(real("asdiv/ASDiv.xml"), "asdiv", training=False, datasets={"ASDIV": 2305})
    assert tally.found("ASDIV") == 2305
    assert tally.dropped["ASDIV"]["several answers"] == 90
    assert len(made) + sum(tally.dropped["ASDIV"].values()) == 2305
    assert made[0].answers == ["9"] and made[0].question.endswith("How many apples are in the basket?")


def test_real_mawps_keeps_decimals():
    made, tally = converted(real("mawps/llm_adapters_test.json"), "mawps", training=False, datasets={"MAWPS": 238})
    assert tally.rows == {"MAWPS": 238}
    assert [example.answers[0] for example in made[:4]] == ["1.8333333333333335", "-15", "12", "9"]
    assert sum("." in example.answers[0] for example in made) > 10


def test_real_metamath_records_group_by_original_question():
    path = real("metamathqa/records.json")
    made, tally = converted(path, "metamath", datasets={"MetaMath": 5})
    assert tally.rows == {"MetaMath": 5} and tally.selected_out == {"not augmented from GSM8K": 1}
    raw = [record for record in json.loads(path.read_text()) if record["type"].startswith("GSM_")]
    for example, record in zip(made, raw, strict=True):
        assert example.target == record["response"] and example.question == record["query"]
        assert example.answers == [record["response"].rpartition("The answer is: ")[2]]
        assert example.group == digest(normalised(record["original_question"]))


@pytest.mark.parametrize("rows", [16, 32, 64])
def test_real_mrqa_squad(rows):
    made, tally = converted(real(f"mrqa/squad-train-seed-42-num-examples-{rows}.jsonl"), "reading")
    assert tally.rows == {"SQuAD": rows} and not tally.dropped
    assert all(example.target in example.context for example in made)
    assert all(example.target in example.answers for example in made)


def test_real_mrqa_masks_are_no_part_of_the_question():
    made, tally = converted(real("mrqa/squad-train-seed-42-num-examples-1024_qass.jsonl"), "reading")
    assert tally.rows == {"SQuAD": 1024}
    assert not any("[MASK]" in example.question or example.question.endswith(" ") for example in made)
    assert Counter(example.question[-1] for example in made).most_common(1)[0][0] == "?"


def test_real_newsqa_sample_without_header():
    made, tally = converted(real("mrqa/NewsQA_sample.jsonl"), "reading")
    assert tally.rows == {"NewsQA_sample": 17} and len({example.group for example in made}) == 3


def hub_row(**changes):
    row = {
        "subset": "TriviaQA-web",
        "context": " In 1998 ",
        "question": "When?",
        "qid": "q1",
        "answers": ["1998", "98"],
        "detected_answers": {"text": ["1998"], "char_spans": [{"start": [4], "end": [7]}]},
    }
    return row | changes


def test_mrqa_of_the_hub_as_parquet(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rows = [hub_row(), hub_row(qid="q2", detected_answers={"text": [], "char_spans": []})]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    made, tally = converted(tmp_path / "a.parquet", "reading")
    assert [(e.id, e.dataset, e.target, e.answers) for e in made] == [("q1", "TriviaQA", "1998", ["1998", "98"])]
    assert tally.dropped == {"TriviaQA": {"no target": 1}}
    made, tally = converted(tmp_path / "a.parquet", "reading", training=False)
    assert [example.target for example in made] == ["", ""] and not tally.dropped


def test_mrqa_rows_that_cannot_be_used_are_counted_by_reason(tmp_path):
    rows = [
        hub_row(qid=str(n), **change)
        for n, change in enumerate([{}, {"context": " "}, {"answers": []}, {"question": ""}, {"answers": ["", " "]}])
    ]
    made, tally = converted(write_lines(tmp_path / "a.jsonl", rows), "reading")
    assert len(made) == 1
    assert tally.dropped == {"TriviaQA": {"empty context": 1, "no answers": 2, "empty question": 1}}
    assert tally.found("TriviaQA") == 5


def test_squad_json(tmp_path):
    paragraph = {
        "context": "Ann wrote it.",
        "qas": [
            {"id": "1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]},
            {"id": "2", "question": "Why?", "answers": [], "is_impossible": True},
        ],
    }
    (tmp_path / "dev.json").write_text(json.dumps({"version": "1.1", "data": [{"paragraphs": [paragraph]}]}))
    made, tally = converted(tmp_path / "dev.json", "reading", datasets={"SQuAD": 2})
    assert [(example.id, example.target) for example in made] == [("1", "Ann")]
    assert tally.dropped == {"SQuAD": {"no answers": 1}}


@pytest.mark.parametrize(
    ("converter", "record", "question", "answer"),
    [
        ("mawps", {"question": "How many?", "answer": "1 + 1 = <<1+1=2>>2\n#### 1,200"}, "How many?", "1200"),
        ("mawps", {"question": "How many?", "answer": "2.50"}, "How many?", "2.50"),
        (
            "mawps",
            {"Question": "N_00 and N_01 more ?", "Numbers": "56.0 9.5", "Equation": "+ N_00 N_01", "Answer": 65.5},
            "56 and 9.5 more ?",
            "65.5",
        ),
        ("mawps", {"id": 1, "original_text": "How many?", "equation": "x=2", "ans": "2.0"}, "How many?", "2"),
        (
            "mawps",
            {"iIndex": 1, "sQuestion": "How many? ", "lEquations": ["X=2"], "lSolutions": [2.0]},
            "How many?",
            "2",
        ),
        ("mawps", {"sQuestion": "How many?", "lSolutions": ["2.5"]}, "How many?", "2.5"),
        (
            "mawps",
            {"instruction": " How many? ", "input": "", "output": "", "answer": ["118558.0"]},
            "How many?",
            "118558",
        ),
        ("mawps", {"instruction": "How many?", "answer": "-15.0"}, "How many?", "-15"),
        ("asdiv", {"text": "Question: How many? Answer:", "label": "<<7+2=9>>9"}, "How many?", "9"),
        ("asdiv", {"text": "Question: How many? Answer:", "target": "<<7+2=9>>9"}, "How many?", "9"),
        (
            "competition",
            {"problem": "Find $x$.", "solution": r"So $\boxed{\frac{1}{2}}$."},
            "Find $x$.",
            r"\frac{1}{2}",
        ),
        ("competition", {"question": "Find $x$.", "answer": "5"}, "Find $x$.", "5"),
        ("gsm8k", {"question": "How many?", "answer": "So\n#### -3"}, "How many?", "-3"),
    ],
)
def test_one_record_of_each_form(tmp_path, converter, record, question, answer):
    made, _ = converted(write_lines(tmp_path / "a.jsonl", [record]), converter, training=False, datasets={"D": 1})
    assert [(e.dataset, e.question, e.answers, e.context) for e in made] == [("D", question, [answer], "")]


def test_records_without_an_answer_are_counted(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"question": "How many?", "answer": "none at all"}])
    assert converted(path, "gsm8k")[1].dropped == {"a": {"no #### before the answer": 1}}
    path = write_lines(
        tmp_path / "b.jsonl", [{"query": "q", "original_question": "q", "response": "7", "type": "GSM_SV"}]
    )
    assert converted(path, "metamath")[1].dropped == {"b": {"no answer after 'The answer is:'": 1}}
    path = write_lines(tmp_path / "d.jsonl", [{"sQuestion": "q", "lSolutions": list(range(n))} for n in (2, 0)])
    assert converted(path, "mawps")[1].dropped == {"d": {"several answers": 1, "no answers": 1}}
    path = write_lines(tmp_path / "c.jsonl", [{"problem": "q", "solution": "no box"}])
    assert converted(path, "competition")[1].dropped == {"c": {"no boxed answer": 1}}


def test_unknown_columns_are_refused_by_name(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"frage": "Wie?", "antwort": "so"}])
    with pytest.raises(
        DataError, match=r"a.jsonl has the keys antwort, frage; the converter 'gsm8k' needs \(answer, question\)"
    ):
        converted(path, "gsm8k")


def test_first_rows_only(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"problem": f"p{n}", "solution": r"\boxed{1}"} for n in range(9)])
    made, tally = converted(path, "competition", training=False, first=5, datasets={"MP500": 5})
    assert [example.question for example in made] == ["p0", "p1", "p2", "p3", "p4"]
    assert tally.found("MP500") == 5 and tally.selected_out == {"after the first 5 rows": 4}


def test_numbers_are_written_plainly():
    pairs = {"8.0": "8", "1,234.50": "1234.50", "-15.0": "-15", "$5": "$5", ".5": ".5", "0.0": "0", "1/2": "1/2"}
    assert {text: plain_number(text) for text in pairs} == pairs


def test_last_box_counts():
    assert boxed(r"\boxed{1} then \boxed{ \frac{a}{b} }.") == r"\frac{a}{b}"
    assert boxed(r"so $\boxed 7$.") == "7"
    assert boxed(r"\boxed{never closed") == "" and boxed("none") == ""
