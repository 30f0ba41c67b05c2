"""Small parquet files that would expand without end, wherever such files are read from."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.config.params import ColumnParams, TableParams
from ptmoe.examples.loaded import fetch_table
from ptmoe.examples.records import read_records
from ptmoe.runtime import parquet
from ptmoe.runtime.errors import PtmoeError
from ptmoe.scoring.scores import read_table

LONG, ROWS = "x" * (1 << 20), 20_000
KINDS = ["dictionary", "nested dictionary", "nulls", "long value"]


def write_bomb(kind, path):
    """Writes a table of a few kilobytes on disk, whose Arrow types are not stored: a dictionary reads as texts."""
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([LONG]))
    column = {
        "dictionary": lambda: repeated,
        "nested dictionary": lambda: pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), repeated),
        "nulls": lambda: pa.nulls(3_000_000, pa.string()),
        "long value": lambda: pa.array([LONG * 8]),
    }[kind]()
    pq.write_table(
        pa.table({"id": column}), path, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30
    )
    assert path.stat().st_size < 1 << 14


def own_table(path):
    columns = ColumnParams(question="id", answers="id")
    return fetch_table("s", TableParams(path=str(path), columns=columns), path.parent / "out")


@pytest.mark.parametrize("footer", ["honest", "lying"])
@pytest.mark.parametrize("read", [read_table, lambda path: list(read_records(path)), own_table])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused(kind, read, footer, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "FREE_BYTES", 1 << 21)
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1 << 24)
    if footer == "lying":
        monkeypatch.setattr(parquet, "_stated", lambda group: 0)
    write_bomb(kind, tmp_path / "a.parquet")
    with pytest.raises(PtmoeError, match=r"a\.parquet expands to over 200 times its size, which no text does"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("kind", ["dictionary", "nested dictionary"])
def test_a_batch_is_bounded_before_it_is_read(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1 << 24)
    write_bomb(kind, tmp_path / "a.parquet")
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        batch = next(parquet.bounded_batches(file, 1 << 40, "a"))
    assert batch.num_rows >= 1 and batch.nbytes <= 1 << 24


def test_what_is_no_bomb_reads_as_before(tmp_path):
    texts = ["a", None, "b"] * 1000
    table = pa.table(
        {"id": texts, "kind": pa.array(texts).dictionary_encode(), "list": [["a", "b"], [], None] * 1000}
    ).replace_schema_metadata({"metric": "qa"})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    read = read_table(tmp_path / "a.parquet")
    assert read.to_pydict() == table.to_pydict() and read.schema.metadata[b"metric"] == b"qa"
    assert [record.values for record in read_records(tmp_path / "a.parquet")] == table.to_pylist()
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").column_names == ["id", "kind", "list"]
