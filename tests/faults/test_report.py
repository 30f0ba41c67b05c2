"""A report is written whatever a cell has left on disk: damage is said in it, or is one sentence."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.reporting.cells import read_task
from ptmoe.reporting.report import write_report
from ptmoe.runtime.errors import ScoringError
from tests.reporting.conftest import METHODS, SEEDS, STATISTICS, whole_run  # noqa: F401

FILES = {
    "logs/qa-good-0.tsv": [b"\xff\xfe", b"step\tloss\nx\ty\n", b"a\tb\n1\t2\n", b"1\t2\n1\t2\t3\n"],
    "models/qa-good-0/adapter_config.json": [b"", b"[]", b"{", b'{"params": 3}', b'{"trainable_parameters": "x"}'],
    "scores/qa/good-0.parquet": [b"", b"PAR1", b"PAR1" * 99],
    "predictions/qa-good-0.parquet": [b"", b"PAR1" * 99],
    "data/split/qa/datasets.json": [b"", b"[]", b"{", b'{"Close": 3}', b'{"Close": {"domain": 1, "rows": "x"}}'],
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in FILES for content in FILES[name]])
def test_a_damaged_file_is_said(name, content, whole_run, tmp_path):  # noqa: F811
    root = tmp_path / "run"
    shutil.copytree(whole_run, root)
    (root / name).write_bytes(content)
    if name.endswith("datasets.json"):
        with pytest.raises(ScoringError, match=r"datasets\.json is damaged"):
            read_task("qa", METHODS, SEEDS[:1], root)
    else:
        assert any(Path(name).stem in problem for problem in read_task("qa", METHODS, SEEDS[:1], root).problems)


def test_the_report_holds_what_is_left(whole_run, tmp_path):  # noqa: F811
    root = tmp_path / "run"
    shutil.copytree(whole_run, root)
    for name, contents in FILES.items():
        if not name.endswith("datasets.json"):
            (root / name).write_bytes(contents[-1])
    pq.write_table(pa.table({"id": ["a"]}), root / "predictions/qa-same-0.parquet")
    write_report(["qa"], METHODS, SEEDS[:1], STATISTICS, root, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "lacks the columns" in page and "is damaged and left out" in page and "not a complete parquet file" in page
