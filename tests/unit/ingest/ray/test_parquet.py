"""Parts cover a file once, whatever its row groups are, and an output file is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gram_os.errors import FileFormatError
from gram_os.ingest.ray import parquet


@pytest.mark.parametrize("group", [1, 7, 10, 25, 100])
@pytest.mark.parametrize("rows", [1, 6, 10, 25, 99])
def test_parts_cover_a_file_once(tmp_path: Path, group: int, rows: int) -> None:
    pq.write_table(pa.table({"n": range(25)}), tmp_path / "a.parquet", row_group_size=group)
    (file,) = parquet.find_files([str(tmp_path)])
    parts = list(parquet.cut_parts(file, rows))
    assert [row["n"] for part in parts for row in parquet.read_rows(parquet.read_part(part))] == list(range(25))
    assert [part.rows for part in parts[:-1]] == [rows] * (len(parts) - 1)
    assert len({part.name for part in parts}) == len(parts)


def test_files_of_one_name_have_parts_of_different_names(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"n": [1]}), tmp_path / folder / "a.parquet")
    files = parquet.find_files([str(tmp_path), str(tmp_path / "x" / "a.parquet")])
    assert [Path(file.path).parent.name for file in files] == ["x", "y"]  # each once
    assert len({part.name for file in files for part in parquet.cut_parts(file, 5)}) == 2


def test_a_file_without_rows_has_no_parts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    (file,) = parquet.find_files([str(tmp_path / "a.parquet")])
    assert list(parquet.cut_parts(file, 5)) == []


def test_what_is_no_data_is_left_out_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.parquet", "_metadata.parquet", ".b.parquet", "notes.txt"):
        pq.write_table(pa.table({"n": [1]}), tmp_path / name)
    (tmp_path / "_temporary").mkdir()
    pq.write_table(pa.table({"n": [1]}), tmp_path / "_temporary" / "c.parquet")
    assert [Path(file.path).name for file in parquet.find_files([str(tmp_path)])] == ["a.parquet"]
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(FileFormatError, match="a folder without a Parquet file"):
        parquet.find_files([str(tmp_path)])


def test_a_uri_is_a_path(tmp_path: Path) -> None:
    target = tmp_path.as_uri()
    parquet.write_table(pa.table({"n": [1, 2]}), target, "coded", "a")
    assert parquet.list_tables(target, "coded") == {"a"}
    (file,) = parquet.find_files([parquet.table_folder(target, "coded")])
    (part,) = parquet.cut_parts(file, 5)
    assert parquet.read_part(part)["n"].to_pylist() == [1, 2]
    parquet.remove_table(target, "coded", "a")
    parquet.remove_table(target, "coded", "a")
    assert parquet.list_tables(target, "coded") == set() == parquet.list_tables(target, "nowhere")


def test_a_table_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"n": [1]}), str(tmp_path), "coded", "a")
    before = (tmp_path / "coded" / "a.parquet").read_bytes()
    unfit = pa.table({"n": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(pa.ArrowException):
        parquet.write_table(unfit, str(tmp_path), "coded", "a")
    assert (tmp_path / "coded" / "a.parquet").read_bytes() == before
    parquet.clear_unfinished(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["coded"]


def test_kinds_of_columns() -> None:
    schema = pa.schema(
        {
            "title": pa.string(), "price": pa.decimal128(9, 2), "stock": pa.int32(), "new": pa.bool_(),
            "since": pa.timestamp("us"), "tags": pa.list_(pa.large_string()), "specs": pa.struct({"a": pa.int8()}),
            "colour": pa.dictionary(pa.int8(), pa.string()), "image": pa.binary(), "nothing": pa.null(),
        }
    )  # fmt: skip
    assert parquet.find_kinds(schema) == {
        "title": "prose", "price": "float", "stock": "integer", "new": "boolean", "since": "date", "tags": "prose",
        "specs": "object", "colour": "prose",
    }  # fmt: skip
