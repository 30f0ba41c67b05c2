"""What a stage spends before its work begins."""

import gc
import subprocess
import sys
import weakref

import pytest

from ptmoe.runtime.imports import lasting_imports
from tests.rows import write_rows
from tests.training.world import random_rows


class Ring:
    def __init__(self):
        self.itself = self


def made_inside():
    with lasting_imports():
        return weakref.ref(Ring())


def test_what_is_imported_is_never_searched_and_all_else_is():
    gc.collect()
    inside = made_inside()
    outside = weakref.ref(Ring())
    gc.collect()
    assert inside() is not None and outside() is None
    gc.unfreeze()
    gc.collect()
    assert inside() is None


@pytest.mark.parametrize("searching", [True, False])
def test_the_search_goes_on_as_before_also_after_an_error(searching):
    (gc.enable if searching else gc.disable)()
    try:
        with pytest.raises(ImportError), lasting_imports():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is searching
    finally:
        gc.enable()
        gc.unfreeze()


def test_rows_are_read_without_pandas(project_root, tmp_path):
    write_rows(tmp_path / "a.arrow", random_rows(3, 3))
    code = (
        "import sys; from ptmoe.rows.encoded import EncodedSet; rows = EncodedSet('a.arrow'); "
        "print(rows.lengths.sum() == sum(len(row.input_ids) for row in rows), 'pandas' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(project_root)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout == "True False\n", run.stderr
