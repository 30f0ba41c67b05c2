"""A command replaces a folder only where nothing but its own files lies."""

import pytest

from ptmoe.runtime.errors import PtmoeError
from ptmoe.runtime.files import whole_folder, write_text


def test_a_folder_of_others_stays_as_it_is(tmp_path):
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "deep" / "notes.md").write_text("mine")
    with pytest.raises(PtmoeError, match=r"holds deep/notes\.md"), whole_folder(tmp_path / "docs"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["docs", "deep", "notes.md"]


def test_what_was_written_is_replaced_and_what_was_added_is_not(tmp_path):
    for text in ("old", "new"):
        with whole_folder(tmp_path / "report") as made:
            write_text(made / f"{text}.md", text)
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [".written", "new.md"]
    (tmp_path / "report" / "mine.md").touch()
    with pytest.raises(PtmoeError, match=r"holds mine\.md"), whole_folder(tmp_path / "report"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_leaves_the_older_folder(tmp_path):
    with whole_folder(tmp_path / "report") as made:
        write_text(made / "old.md", "old")
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "report") as made:
        raise KeyboardInterrupt
    assert (tmp_path / "report" / "old.md").is_file() and len(list(tmp_path.iterdir())) == 1


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "report").touch()
    with pytest.raises(PtmoeError, match="is a file"), whole_folder(tmp_path / "report"):
        pass
