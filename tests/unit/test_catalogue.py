"""Products, queries, judgments, clicks: what is read, and what is refused with line and field."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gram_os.catalogue import (
    Click,
    Judgment,
    Product,
    Query,
    read_clicks,
    read_judgments,
    read_products,
    read_queries,
)
from gram_os.errors import FileFormatError, InputError
from gram_os.files.casts import cast_value


def _write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


def test_products_take_id_and_title_and_keep_the_rest(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.jsonl", '{"id": 7, "title": "Nut", "price": 1, "note": null, "tags": ["a"]}\n')
    assert list(read_products(path)) == [Product("7", "Nut", {"price": 1, "tags": ["a"]})]


def test_columns_are_named_and_cast(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.csv", "sku,name,price,stock,sale,ean\n1,Nut,1.5,3,yes,\n2,Bolt,2,,no,0012\n")
    kinds = {"price": "float", "stock": "integer", "sale": "boolean", "ean": "keyword"}
    assert list(read_products(path, id_field="sku", title_field="name", fields=kinds)) == [
        Product("1", "Nut", {"price": 1.5, "stock": 3, "sale": True}),
        Product("2", "Bolt", {"price": 2.0, "sale": False, "ean": "0012"}),
    ]


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b'{"id": "1", "title": "Nut"}\n')

    monkeypatch.setattr("sys.stdin", Stdin)
    assert list(read_products("-")) == [Product("1", "Nut", {})]


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ('{"title": "Nut", "sku": 1}', "id", "is missing (the row has: title, sku)"),
        ('{"id": null, "title": "Nut"}', "id", "is missing"),
        ('{"id": "", "title": "Nut"}', "id", "is missing"),
        ('{"id": "  ", "title": "Nut"}', "id", "blank"),
        ('{"id": true, "title": "Nut"}', "id", "not the boolean true"),
        ('{"id": 1.5, "title": "Nut"}', "id", "not the number 1.5"),
        ('{"id": ["1"], "title": "Nut"}', "id", "not a list"),
        ('{"id": "' + "é" * 257 + '", "title": "Nut"}', "id", "514 bytes"),
        ('{"id": "1"}', "title", "is missing"),
        ('{"id": "1", "title": "\\t"}', "title", "blank"),
        ('{"id": "1", "title": 5}', "title", "not the number 5"),
        ('{"id": "1", "title": {"en": "Nut"}}', "title", "not an object"),
        ('{"id": "1", "title": "Nut", "price": "cheap"}', "price", "'cheap' is no float"),
        ('{"id": "1", "title": "Nut", "price": ["1", {}]}', "price", "an object is no float"),
    ],
)
def test_wrong_products_are_named_by_line_and_field(tmp_path: Path, row: str, field: str, says: str) -> None:
    path = _write(tmp_path, "p.jsonl", '{"id": "0", "title": "Good", "price": "1"}\n' + row + "\n")
    with pytest.raises(FileFormatError) as caught:
        list(read_products(path, fields={"price": "float"}))
    assert (caught.value.line, caught.value.field) == (2, field)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"price": "money"}, "unknown type 'money'; the types are keyword"), ({"title": "text"}, "always text")],
)
def test_wrong_field_types(tmp_path: Path, fields: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_products(_write(tmp_path, "p.jsonl", "{}"), fields=fields)


def test_cast_column_must_be_in_the_header(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.csv", "id,title\n1,Nut\n")
    with pytest.raises(FileFormatError, match="columns are: id, title"):
        list(read_products(path, fields={"price": "float"}))


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("12", "integer", 12),
        (12.0, "integer", 12),
        (" 1e3 ", "float", 1000.0),
        (1, "boolean", True),
        ("FALSE", "boolean", False),
        (True, "keyword", "true"),
        (12, "text", "12"),
        ("2026-11-22", "date", "2026-11-22"),
        ("20261122", "date", "2026-11-22"),
        ("2026-11-22T08:30:00Z", "date", "2026-11-22T08:30:00+00:00"),
        (None, "integer", None),
    ],
)
def test_casts(value: object, kind: str, wanted: object) -> None:
    found = cast_value(value, kind)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("12.5", "integer"),
        (12.5, "integer"),
        (True, "integer"),
        ("1_000", "integer"),
        ("inf", "float"),
        ("nan", "float"),
        ("1,5", "float"),
        ("maybe", "boolean"),
        (2, "boolean"),
        ("22/11/2026", "date"),
        ("2026-13-01", "date"),
        (1763800000, "date"),
        ({}, "keyword"),
    ],
)
def test_casts_that_would_lose_something_are_refused(value: object, kind: str) -> None:
    with pytest.raises(InputError, match=f"is no {kind}"):
        cast_value(value, kind)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans(), st.dates(), st.datetimes())
def test_casting_a_written_value_gives_it_back(
    number: float, whole: int, truth: bool, day: object, moment: object
) -> None:
    assert cast_value(str(number), "float") == number
    assert cast_value(str(whole), "integer") == whole
    assert cast_value(str(truth), "boolean") is truth
    assert cast_value(str(day), "date") == str(day)
    assert cast_value(str(moment), "date") == str(moment).replace(" ", "T")


def test_queries(tmp_path: Path) -> None:
    text = 'q1\taa battery\r\nq2\t"17"" laptop\n\nq3\t طابعة 🖨\n'
    assert read_queries(_write(tmp_path, "q.tsv", text)) == [
        Query("q1", "aa battery"),
        Query("q2", '"17"" laptop'),
        Query("q3", "طابعة 🖨"),
    ]
    assert read_queries(_write(tmp_path, "h.tsv", "query_id\ttext\nq1\tnut\n")) == [Query("q1", "nut")]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("q1\tnut\nq2 bolt\n", 2, "1 cells; a line is query_id<TAB>text"),
        ("q1\tnut\nq2\ta\tb\n", 2, "3 cells"),
        ("q1\tnut\n\tbolt\n", 2, "'query_id': is empty"),
        ("q1\t \n", 1, "'text': is empty"),
        ("q1\tnut\nq2\tbolt\nq1\tscrew\n", 3, "'q1' is in line 1 already"),
        ("query_id\ttext\n", None, "holds no query"),
        ("", None, "is empty"),
    ],
)
def test_wrong_queries(tmp_path: Path, text: str, line: int | None, says: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_queries(_write(tmp_path, "q.tsv", text))
    assert caught.value.line == line
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "query_id\tproduct_id\trelevance\nq1\tp 1\t3\nq1\tp2\t2.33\n",
        "relevance\tquery_id\tproduct_id\r\n3\tq1\tp 1\r\n2.33\tq1\tp2\r\n",
    ],
)
def test_judgments_with_header(tmp_path: Path, text: str) -> None:
    assert read_judgments(_write(tmp_path, "j.tsv", text)) == [
        Judgment("q1", "p 1", 3.0),
        Judgment("q1", "p2", 2.33),
    ]


@pytest.mark.parametrize("text", ["q1 0 p1 1\nq1  Q0 p2\t-1\n", "q1\t0\tp1\t1\nq1\t0\tp2\t-1\n"])
def test_trec_qrels(tmp_path: Path, text: str) -> None:
    assert read_judgments(_write(tmp_path, "j.qrels", text)) == [
        Judgment("q1", "p1", 1.0),
        Judgment("q1", "p2", -1.0),
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (
            "query_id\tproduct_id\trelevance\nq1\tp1\thigh\n",
            2,
            "'relevance': the text 'high' is no finite number",
        ),
        ("query_id\tproduct_id\trelevance\nq1\tp1\tnan\n", 2, "no finite number"),
        ("query_id\tproduct_id\trelevance\nq1\tp1\n", 2, "2 cells"),
        ("query_id\tproduct_id\trelevance\nq1\t\t1\n", 2, "'product_id': is empty"),
        ("query_id\tproduct_id\trelevance\nq1\tp1\t1\nq1\tp1\t2\n", 3, "judged in an earlier line"),
        ("query_id\tproduct_id\trelevance\n", None, "holds no judgment"),
        ("q1,p1,1\n", 1, "the first line is a TSV header 'query_id product_id relevance' or four TREC columns"),
        ("q1 0 p1 1\nq1 0 p2\n", 2, "3 cells"),
        ("", None, "is empty"),
    ],
)
def test_wrong_judgments(tmp_path: Path, text: str, line: int | None, says: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_judgments(_write(tmp_path, "j.tsv", text))
    assert caught.value.line == line
    assert says in str(caught.value)


def test_clicks(tmp_path: Path) -> None:
    text = "query\tproduct_id\tposition\tclicks\nnut\tp1\t3\t7\nbolt\tp2\t\t\n"
    assert list(read_clicks(_write(tmp_path, "c.tsv", text))) == [
        Click("nut", "p1", 7.0, None, 3.0),
        Click("bolt", "p2", 1.0, None, None),
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("query\tsku\nnut\tp1\n", 1, "'product_id': there is no such column"),
        ("query\tproduct_id\tclicks\nnut\tp1\t-2\n", 2, "'clicks': the text '-2' is below 0"),
        ("query\tproduct_id\nnut\n", 2, "1 cells"),
        ("", None, "is empty"),
    ],
)
def test_wrong_clicks(tmp_path: Path, text: str, line: int | None, says: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        list(read_clicks(_write(tmp_path, "c.tsv", text)))
    assert caught.value.line == line
    assert says in str(caught.value)
