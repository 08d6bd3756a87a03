"""JSON lines as databases and clusters export them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gram_os.errors import FileFormatError
from gram_os.rows import read_rows


def _path(folder: Path, *lines: object) -> Path:
    path = folder / "p.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"$oid": "65f0"}, "65f0"),
        ({"$numberDecimal": "49.00"}, 49.0),
        ({"$numberDouble": "NaN"}, None),
        ({"$numberLong": "9007199254740993"}, 9007199254740993),
        ({"$numberInt": "7"}, 7),
        ({"$date": "2026-11-01T00:00:00Z"}, "2026-11-01T00:00:00Z"),
        ({"$date": 1793491200500}, "2026-11-01T00:00:00.500Z"),
        ({"$date": {"$numberLong": "-1000"}}, "1969-12-31T23:59:59Z"),
        ([{"$oid": "a"}, {"b": {"$numberInt": "1"}}], ["a", {"b": 1}]),
        ({"$size": 3}, {"$size": 3}),
        ({"$oid": "a", "b": 1}, {"$oid": "a", "b": 1}),
    ],
)
def test_extended_json_is_read_as_its_value(tmp_path: Path, written: object, meant: object) -> None:
    ((_, row),) = read_rows(_path(tmp_path, {"id": 1, "x": written}), required=())
    assert row == ({"id": 1, "x": meant} if meant is not None else {"id": 1})


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"products": [{"id": 1}, {"id": 2}]}'], r"one JSON document; .* jq -c '.\[\"products\"\]\[\]'"),
        (['{"index": {"_id": "1"}}', '{"title": "Pan"}'], "is a bulk request"),
        (['{"x": {"$numberLong": "seven"}}'], r"line 1: \$numberLong with the text 'seven' cannot be read"),
    ],
)
def test_other_forms_are_refused_with_the_cure(tmp_path: Path, lines: list[str], says: str) -> None:
    with pytest.raises(FileFormatError, match=says):
        list(read_rows(_path(tmp_path, *lines), required=()))


def test_a_faulty_row_is_left_out_where_the_caller_wants_it(tmp_path: Path) -> None:
    path = _path(tmp_path, {"id": 1}, '{"id": ', '{"id": "\\ud83d"}', "[1]", '{"id": NaN}', {"id": 2})
    faults: list[FileFormatError] = []
    rows = list(read_rows(path, required=(), on_fault=faults.append))
    assert rows == [(1, {"id": 1}), (6, {"id": 2})]
    assert [fault.line for fault in faults] == [2, 3, 4, 5]
