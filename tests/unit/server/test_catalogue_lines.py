"""The body of the hook: every line is a change or is named, and nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.errors import InputError
from gram_os.ingest.queue import CatalogueChange
from gram_os.server import catalogue_lines
from gram_os.server.catalogue_lines import parse_lines

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(["id", "title"]), inner),
    max_leaves=8,
)
LINES = st.one_of(
    st.binary().map(lambda line: line.replace(b"\n", b"")),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"id": st.integers() | st.text(), "title": JSON_VALUES}).map(
        lambda v: json.dumps(v).encode()
    ),
    st.sampled_from([b"", b" \t\r", b"[" * 100_000, b"9" * 5000, b"1e999", b'"\\ud83d"', b"\xff", b'{"id":NaN}']),
)


@given(st.lists(LINES, max_size=8))
def test_every_line_is_good_or_named(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    parsed = parse_lines(body)
    if not body.startswith(b"\xef\xbb\xbf"):
        assert len(parsed.changes) + parsed.bad == sum(bool(line.strip()) for line in lines)
    assert len(parsed.errors) == parsed.bad
    assert all(lines[error.line - 1].strip() and error.error for error in parsed.errors)
    for change in parsed.changes:
        assert 0 < len(change.id.encode()) <= 512
        json.dumps([change.id, change.product], ensure_ascii=False, allow_nan=False).encode()


def _changes(body: bytes, **fields: str) -> list[CatalogueChange]:
    parsed = parse_lines(body, **fields)
    assert parsed.errors == ()
    return list(parsed.changes)


def test_ids_and_products_keep_their_order_and_repeats() -> None:
    body = b'"1"\n{"id":"2","title":"Lamp"}\n3\n{"id":2,"title":"Lamp, red"}\n{"id":"1"}\n'
    assert _changes(body) == [
        CatalogueChange("1"),
        CatalogueChange("2", {"id": "2", "title": "Lamp"}),
        CatalogueChange("3"),
        CatalogueChange("2", {"id": 2, "title": "Lamp, red"}),
        CatalogueChange("1"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'"1"\r\n\r\n"2"\r\n',
        b'\xef\xbb\xbf"1"\n"2"',
        b'\n\n  "1"  \n\t\n"2"\n\n',
        b'{"_id": "1"}\n{"_id": {"$oid": "2"}}',
    ],
)
def test_what_other_tools_write_around_lines(body: bytes) -> None:
    assert [change.id for change in _changes(body, id_field="_id")] == ["1", "2"]


def test_a_separator_of_lines_that_is_no_line_feed_is_text() -> None:
    (change,) = _changes('{"id":"1","title":"a\u2028b\u0085c"}'.encode())
    assert change.product == {"id": "1", "title": "a\u2028b\u0085c"}


def test_fields_may_be_nested_and_nulls_are_left_out() -> None:
    body = b'{"sku":{"no":7},"name":{"en":"Lamp"},"colour":null}\n{"sku":{"no":8}}'
    first, second = _changes(body, id_field="sku.no", title_field="name.en")
    assert first == CatalogueChange("7", {"sku": {"no": 7}, "name": {"en": "Lamp"}})
    assert second == CatalogueChange("8")


def test_an_id_of_the_greatest_length() -> None:
    assert _changes(json.dumps("é" * 256, ensure_ascii=False).encode())[0].id == "é" * 256


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"lamp", "not JSON: Expecting value at column 1"),
        (b'{"id": "1", "title": "Lamp"', "not JSON"),
        (b'"1" "2"', "not JSON: Extra data at column 5"),
        (b'"caf\xe9"', "not UTF-8: byte 5"),
        (b'"\\ud83d"', "half a surrogate pair"),
        (b"true", "not the boolean true"),
        (b"null", "not null"),
        (b"[1]", "not a list"),
        (b"1.5", "not the number 1.5"),
        (b"NaN", "NaN is no JSON number"),
        (b'{"id":1,"title":"a","price":-Infinity}', "-Infinity is no JSON number"),
        (b'{"id":1,"title":"a","price":1e999}', "a number that cannot be kept"),
        (b"9" * 5000, "a number that cannot be kept"),
        (b"9" * 600, "at most 512 bytes, not 600"),
        (b'"' + b"x" * 513 + b'"', "at most 512 bytes, not 513"),
        (b'""', "not blank"),
        (b'{"id":" ","title":"a"}', "not blank"),
        (b"{}", "field 'id' is missing (the line has: nothing)"),
        (b'{"sku":"1","title":"Lamp"}', "field 'id' is missing (the line has: sku, title)"),
        (b'{"id":null,"title":"Lamp"}', "field 'id' is missing (the line has: title)"),
        (b'{"id":["1"],"title":"Lamp"}', "not a list"),
        (b'{"id":"1","colour":"red"}', "field 'title' is missing"),
        (b'{"id":"1","title":null}', "field 'title' is missing"),
        (b'{"id":"1","title":" "}', "field 'title' is blank"),
        (b'{"id":"1","title":["Lamp"]}', "a title is text, not a list"),
        (b'{"id":1,"title":"a","x":' + b"[" * 101 + b"]" * 101 + b"}", "nested deeper than 100 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 100 levels"),
        (b'{"id":1,"title":"a","on":{"$date":"\\u0000","x":1},"n":{"$numberLong":"many"}}', "$numberLong"),
    ],
)
def test_a_bad_line_is_named_and_stops_no_other(line: bytes, says: str) -> None:
    parsed = parse_lines(b'"first"\n\n' + line + b'\n"last"')
    assert [change.id for change in parsed.changes] == ["first", "last"]
    (error,) = parsed.errors
    assert (error.line, parsed.bad) == (3, 1)
    assert says in error.error
    assert len(error.error) < 400


def test_a_hundred_errors_are_named_and_all_are_counted() -> None:
    parsed = parse_lines(b"x\n" * 5000)
    assert (len(parsed.errors), parsed.errors[99].line, parsed.bad) == (100, 100, 5000)


def test_too_many_lines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_lines, "MOST_CHANGES", 3)
    assert len(_changes(b"1\n2\n3\n")) == 3
    with pytest.raises(InputError, match="more than 3 lines"):
        parse_lines(b"1\n2\n3\n4\n")


def test_products_are_counted() -> None:
    found: Any = parse_lines(b'1\n{"id":2,"title":"Lamp"}\n3')
    assert found.products == 1
