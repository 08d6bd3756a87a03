"""Rows of files: formats, damage of every kind, and memory that does not grow with the file."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gram_os.errors import FileFormatError, InputError
from gram_os.files.json_values import as_json
from gram_os.rows import Row, read_lines, read_rows


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def _rows(path: Path, *required: str) -> list[Row]:
    return [row for _, row in read_rows(path, required=required)]


def _fault(path: Path, *required: str) -> FileFormatError:
    with pytest.raises(FileFormatError) as caught:
        _rows(path, *required)
    return caught.value


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.jsonl", '{"id": "1", "t": "Nut, 4\\""}\n\n{"id": "2", "t": "Bolt", "x": null}\n'),
        ("p.ndjson", '\ufeff{"id": "1", "t": "Nut, 4\\""}\r\n{"id": "2", "t": "Bolt"}'),
        ("p.csv", 'id,t,x\n1,"Nut, 4""",\n\n2,Bolt,\n'),
        ("p.tsv", '\ufeffid\tt\r\n1\t"Nut, 4"""\r\n2\tBolt\r\n'),
    ],
)
def test_formats_give_the_same_rows(tmp_path: Path, name: str, content: str, suffix: str) -> None:
    path = _write(tmp_path, name + suffix, content)
    assert _rows(path) == [{"id": "1", "t": 'Nut, 4"'}, {"id": "2", "t": "Bolt"}]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.csv", 'id,t\n1,"two\nlines"\n\n2,one\n')
    assert list(read_rows(path, required=["id"])) == [
        (2, {"id": "1", "t": "two\nlines"}),
        (5, {"id": "2", "t": "one"}),
    ]


def test_parquet_values_become_json_values(tmp_path: Path) -> None:
    columns = {
        "id": [1, 2],
        "price": [Decimal("1.50"), None],
        "weight": [float("nan"), 2.5],
        "released": [datetime(2026, 11, 22, 8, 30), None],
        "colours": [["red", "blue"], None],
        "size": [{"w": 1}, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    first, second = _rows(tmp_path / "p.parquet", "id")
    assert first == {
        "id": 1,
        "price": 1.5,
        "released": "2026-11-22T08:30:00",
        "colours": ["red", "blue"],
        "size": {"w": 1},
    }
    assert second == {"id": 2, "weight": 2.5}
    json.dumps([first, second])


@pytest.mark.parametrize(
    ("name", "content", "line", "says"),
    [
        ("p.jsonl", '{"id": "1"}\n{"id": \n', 2, "broken JSON at column 8"),
        ("p.jsonl", '{"id": "1"}\n[1]\n', 2, "a row is a JSON object, not a list"),
        ("p.jsonl", '{"id": NaN}\n', 1, "NaN is no JSON number"),
        ("p.jsonl", '{"id": "\\ud83d"}\n', 1, "surrogate"),
        ("p.jsonl", "[" * 100_000 + "\n", 1, "broken JSON"),
        ("p.json", '[\n{"id": "1"}\n]\n', 1, "one JSON document"),
        ("p.json", '[{"id": "1"}]\n', 1, "one JSON document"),
        ("p.jsonl", b'{"id": "1"}\n{"id": "\xff"}\n', 2, "byte 0xff at position 9 is not UTF-8"),
        ("p.jsonl", "\n \n", None, "holds no row"),
        ("p.jsonl", "", None, "is empty"),
        ("p.jsonl.gz", "", None, "is empty"),
        ("p.csv", "id,t\n", None, "holds no row after its header"),
        ("p.csv", "id,t\n1,a\n2,b,c\n", 3, "3 cells, but the header has 2"),
        ("p.csv", 'id,t\n1,"a"b\n', 2, "doubled"),
        ("p.csv", 'id,t\n1,a\n2,"never closed\n3,b\n', 3, "unexpected end of data"),
        ("p.csv", "id,id\n1,2\n", 1, "twice"),
    ],
)
def test_faults_name_file_and_line(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, says: str
) -> None:
    path = _write(tmp_path, name, content)
    fault = _fault(path)
    assert fault.line == line
    assert says in str(fault)
    assert str(path) in str(fault)


def test_missing_column_lists_the_columns_there_are(tmp_path: Path) -> None:
    csv_fault = _fault(_write(tmp_path, "p.csv", "sku,name\n1,Nut\n"), "id")
    pq.write_table(pa.table({"sku": ["1"], "name": ["Nut"]}), tmp_path / "p.parquet")
    parquet_fault = _fault(tmp_path / "p.parquet", "id")
    assert csv_fault.field == parquet_fault.field == "id"
    assert "sku, name" in str(csv_fault)
    assert "sku, name" in str(parquet_fault)


def test_truncated_gzip_names_the_line_it_breaks_at(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"id": "1"}\n' * 1000, compresslevel=0)
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert "cut off" in str(_fault(path))
    path.write_bytes(b'{"id": "1"}\n')
    assert "damaged" in str(_fault(path))


def test_truncated_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": list(range(5000))}), tmp_path / "p.parquet")
    path = tmp_path / "q.parquet"
    path.write_bytes((tmp_path / "p.parquet").read_bytes()[:-100])
    assert "not a whole Parquet file" in str(_fault(path))
    path.write_bytes(b"")
    assert "not a whole Parquet file" in str(_fault(path))


def test_parquet_without_json_form(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1", "2"], "image": [None, b"\x00"]}), tmp_path / "p.parquet")
    fault = _fault(tmp_path / "p.parquet")
    assert (fault.line, fault.field) == (2, "image")
    with pytest.raises(InputError, match="infinity"):
        as_json(float("inf"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("p.xlsx", "unknown extension '.xlsx'; known are .jsonl"),
        ("p.parquet.gz", "unknown extension"),
        ("p", "unknown extension"),
    ],
)
def test_unknown_extension(tmp_path: Path, name: str, says: str) -> None:
    assert says in str(_fault(_write(tmp_path, name, "x")))


def test_missing_file_and_folder_are_found_before_the_first_row(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist"):
        read_rows(tmp_path / "no.csv", required=[])
    with pytest.raises(FileFormatError, match="is a folder"):
        read_rows(tmp_path, required=[])
    with pytest.raises(FileFormatError, match="does not exist"):
        read_lines(tmp_path / "no.tsv")


def test_line_without_end_is_refused_and_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gram_os.files.lines.MAX_LINE_BYTES", 1000)
    assert "one row a line" in str(_fault(_write(tmp_path, "p.jsonl", '{"id": "' + "1" * 2000)))


# A name with a dollar is extended JSON ({"$oid": ""}), which is unwrapped.
_KEYS = st.text(st.characters(codec="utf-8", exclude_characters="$"), min_size=1)
_VALUES: st.SearchStrategy[Any] = (
    st.text(st.characters(codec="utf-8"))
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.lists(st.dictionaries(_KEYS, _VALUES), min_size=1))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_jsonl_gives_back_what_was_written(tmp_path: Path, rows: list[Row]) -> None:
    for ascii_only in (True, False):
        text = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
        assert _rows(_write(tmp_path, "p.jsonl", text)) == rows


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv.gz", "p.parquet"])
def test_memory_stays_flat(tmp_path: Path, name: str) -> None:
    path, count = tmp_path / name, 30_000
    if name.endswith("parquet"):
        pq.write_table(pa.table({"id": range(count), "title": ["x" * 200] * count}), path, row_group_size=1000)
    else:
        form = '{"id": "%d", "title": "' + "x" * 200 + '"}\n' if "json" in name else "%d," + "x" * 200 + "\n"
        _write(
            tmp_path,
            name,
            ("" if "json" in name else "id,title\n") + "".join(form % n for n in range(count)),
        )
    next(iter(read_rows(path, required=["id"])))  # imports come first: they are not measured
    traced = tracemalloc.is_tracing()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    try:
        assert sum(1 for _ in read_rows(path, required=["id"])) == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if not traced:
            tracemalloc.stop()
    assert peak - before < 3_000_000  # the rows together are 30,000 x 200 bytes = 6 MB at the least
