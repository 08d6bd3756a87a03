"""CSV and TSV as people's tools write them: delimiters, quotes, encodings, and rows that are not as the header says."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gram_os.errors import FileFormatError
from gram_os.rows import Row, read_rows


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _rows(path: Path, *required: str) -> list[Row]:
    return [row for _, row in read_rows(path, required=required or ("id", "title"))]


def _read(path: Path) -> tuple[list[tuple[int, Row]], list[str], list[str]]:
    faults: list[str] = []
    notes: list[str] = []
    rows = read_rows(path, required=("id", "title"), on_fault=lambda f: faults.append(str(f)), on_note=notes.append)
    return list(rows), faults, notes


@pytest.mark.parametrize(
    ("lines", "titles"),
    [
        (['1\t"Best Dad" mug\t9', "2\tPan\t5"], ['"Best Dad" mug', "Pan"]),
        (["1\tPan\t9", '2\t"Bella bowl\t5', "3\tPot\t15"], ["Pan", '"Bella bowl', "Pot"]),
        (['1\tTV 24"\t9', '2\tTV 27"\t5'], ['TV 24"', 'TV 27"']),
        (['1\t"\t9', '2\tPan"\t5'], ['"', 'Pan"']),
        (['1\t"Best Dad"\t9', '2\t"Mum"\t5'], ['"Best Dad"', '"Mum"']),
        (['1\t"a\t9', '2\tb"\t5'], ['"a', 'b"']),
        (['1\t"24"" TV"\t9', "2\tPan\t5"], ['24" TV', "Pan"]),  # as pandas and Excel write it
    ],
)
def test_quotes_in_a_tsv_are_characters(tmp_path: Path, lines: list[str], titles: list[str]) -> None:
    for name in ("p.tsv", "p.csv", "p.txt"):
        path = _write(tmp_path, name, "\n".join(["id\ttitle\tprice", *lines]) + "\n")
        rows = _rows(path)
        assert [row["title"] for row in rows] == titles
        assert [row["price"] for row in rows] == [line.split("\t")[2] for line in lines]


def test_tsv_that_is_quoted_throughout(tmp_path: Path) -> None:
    text = '"id"\t"title"\t"price"\n"1"\t"two\nlines"\t9\n"2"\t"a\ttab, 24"" wide"\t5.5\n3\t"Pan"\t\n'
    assert _rows(_write(tmp_path, "p.tsv", text)) == [
        {"id": "1", "title": "two\nlines", "price": "9"},
        {"id": "2", "title": 'a\ttab, 24" wide', "price": "5.5"},
        {"id": "3", "title": "Pan"},
    ]


def test_tsv_whose_header_alone_has_no_quotes(tmp_path: Path) -> None:
    assert _rows(_write(tmp_path, "p.tsv", 'id\ttitle\n"1"\t"Pan ""red"""\n"2"\t""\n')) == [
        {"id": "1", "title": 'Pan "red"'},
        {"id": "2"},
    ]


def test_one_text_without_quotes_makes_quotes_characters(tmp_path: Path) -> None:
    text = '"id"\t"title"\n"1"\tPan\n"2"\t"Pot\n'
    assert [row["title"] for row in _rows(_write(tmp_path, "p.tsv", text))] == ["Pan", '"Pot']


def test_a_quote_that_another_line_closes_is_a_character(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.tsv", '"id"\t"title"\n1\t"Bella bowl\n2\tPot"\n3\t"Pan"\n')
    assert [row["title"] for row in _rows(path)] == ['"Bella bowl', 'Pot"', '"Pan"']


_CELLS = st.text(st.sampled_from("ab\"'\\, ;|"), min_size=1).filter(lambda text: text == text.strip())


@given(st.lists(_CELLS, min_size=1, max_size=20))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_tsv_has_as_many_rows_as_lines(tmp_path: Path, titles: list[str]) -> None:
    text = "id\ttitle\tx\n" + "".join(f"{n}\t{title}\tred\n" for n, title in enumerate(titles))
    rows, faults, _ = _read(_write(tmp_path, "p.tsv", text))
    empty = titles.count('""')  # an empty value in quotes: the row is there, without its title
    assert (len(rows), faults) == (len(titles), [])
    assert sum("title" not in row for _, row in rows) == empty
    assert [row["x"] for _, row in rows] == ["red"] * len(titles)


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
@given(st.lists(st.text(st.sampled_from('ab"\\,;|\t\n'), min_size=1).filter(lambda t: t.strip() == t), min_size=1))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_csv_writes_is_read_back(tmp_path: Path, delimiter: str, titles: list[str]) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerow(["id", "title", "note"])
    writer.writerows([str(n), title, "plain"] for n, title in enumerate(titles))
    rows, faults, _ = _read(_write(tmp_path, "p.csv", stream.getvalue()))
    assert faults == []
    assert [row["title"] for _, row in rows] == titles


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.txt"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_whatever_the_name(tmp_path: Path, name: str, delimiter: str) -> None:
    text = "id,title,price\n1,Pan,9\n2,Pot,5\n".replace(",", delimiter)
    assert _rows(_write(tmp_path, name, text)) == [
        {"id": "1", "title": "Pan", "price": "9"},
        {"id": "2", "title": "Pot", "price": "5"},
    ]


def test_commas_in_titles_do_not_mislead(tmp_path: Path) -> None:
    titles = [f"Pan, red, {n} cm, with lid, oven proof" for n in range(20)]
    text = "id;title;preis\n" + "".join(f"{n};{title};1,5\n" for n, title in enumerate(titles))
    assert [row["title"] for row in _rows(_write(tmp_path, "p.csv", text))] == titles
    assert [row["title"] for row in _rows(_write(tmp_path, "h.csv", "id;title;size, cm, depth\n1;Pan;4\n"))] == ["Pan"]


def test_the_columns_of_id_and_title_decide(tmp_path: Path) -> None:
    text = "id;title;colour, size\n1;Pan, red;4\n2;Pot, blue;5\n"  # as many cells in each line with commas too
    assert [row["title"] for row in _rows(_write(tmp_path, "p.csv", text))] == ["Pan, red", "Pot, blue"]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_separator_line_of_excel(tmp_path: Path, first: str) -> None:
    path = _write(tmp_path, "p.csv", f"{first}\r\nid;title\r\n1;Kettle\r\n2\r\n")
    rows, faults, _ = _read(path)
    assert rows == [(3, {"id": "1", "title": "Kettle"})]
    assert ["line 4" in fault for fault in faults] == [True]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_encodings_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    text = "id\ttitle\r\n1\tKühlschrank\r\n2\t冷蔵庫 🙂\r\n"
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path = _write(tmp_path, "p.csv", (mark + text).encode(encoding))
    assert [row["title"] for row in _rows(path)] == ["Kühlschrank", "冷蔵庫 🙂"]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (
            "id,title\n1,Kühlschrank\n".encode("cp1252"),
            2,
            "byte 0xfc at position 4 is not UTF-8; save the file as UTF-8",
        ),
        ("id,title\r1,Kühlschrank\r".encode("cp1252"), None, "is not UTF-8; save the file as UTF-8"),
        ("id,title\n1,Pan\n".encode("utf-16-le"), 1, "UTF-16 without a byte order mark"),
        ("id,title\n1,Pan\n".encode("utf-16")[:-1], None, "is not UTF-16"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, line: int | None, says: str) -> None:
    with pytest.raises(FileFormatError, match=says) as caught:
        _rows(_write(tmp_path, "p.csv", content))
    assert line is None or caught.value.line == line


def test_lone_returns_end_lines(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.csv", 'id,title\r1,Kettle\r2,"two\nlines"\r3,x,y\r')
    rows, faults, _ = _read(path)
    assert rows == [(2, {"id": "1", "title": "Kettle"}), (3, {"id": "2", "title": "two\nlines"})]
    assert "line 4" in faults[0]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (r'1,"Screen 24\" wide","says \"hi\", ok"', ['Screen 24" wide', 'says "hi", ok']),
        (r'1,"Screen 24\"","\"hi\""', ['Screen 24"', '"hi"']),
        (r'1,"Path C:\new, \"x\"","b\\"', [r'Path C:\new, "x"', "b\\"]),
        (r'1,Screen 24\" wide,"a, \"b\""', ['Screen 24" wide', 'a, "b"']),
    ],
)
def test_backslashes_before_quotes(tmp_path: Path, line: str, wanted: list[str]) -> None:
    rows = _rows(_write(tmp_path, "p.csv", f"id,title,body\n{line}\n2,Toaster,x\n"))
    assert [row["title"] for row in rows] == [wanted[0], "Toaster"]
    assert rows[0]["body"] == wanted[1]


def test_backslash_at_the_end_of_a_plain_value_stays(tmp_path: Path) -> None:
    rows = _rows(_write(tmp_path, "p.csv", 'id,title,body\n1,"Pan, red\\",x\n2,Pot,y\n'))
    assert [row["title"] for row in rows] == ["Pan, red\\", "Pot"]


def test_columns_without_a_name_are_left_out_and_said_once(tmp_path: Path) -> None:
    rows, _, notes = _read(_write(tmp_path, "p.csv", ",id,title,\n0,11,Lamp,\n1,12,Pan,\n"))
    assert [row for _, row in rows] == [{"id": "11", "title": "Lamp"}, {"id": "12", "title": "Pan"}]
    assert notes == ["column 1 has no name in the header and is left out"]


def test_cells_that_are_missing_or_too_many(tmp_path: Path) -> None:
    text = "id,title,brand,\n1,Pan,Aqua,\n,,,\n2,Pot,Aqua\n3,Pan\n4,Pan,Aqua,,,\n5,Pan,Aqua,,x\n6,Pan,Aqua,\n"
    rows, faults, _ = _read(_write(tmp_path, "p.csv", text))
    assert [(line, row["id"]) for line, row in rows] == [(2, "1"), (4, "2"), (6, "4"), (8, "6")]
    assert [fault.split(": ", 1)[1] for fault in faults] == [
        "2 cells, but the header has 4",
        "5 cells, but the header has 4",
    ]


def test_quotes_that_stay_open_are_no_fault_of_one_row(tmp_path: Path) -> None:
    text = 'id,title\n1,Pan\n2,"never closed\n3,Pot\n'
    with pytest.raises(FileFormatError, match="line 3: a quote is never closed"):
        _read(_write(tmp_path, "p.csv", text))
    rows, faults, _ = _read(_write(tmp_path, "q.csv", 'id,title\n1,"Pan" red\n2,Pot\n'))
    assert [row["title"] for _, row in rows] == ["Pot"]
    assert "line 2" in faults[0]
    assert "goes on behind its closing quote" in faults[0]
    rows, faults, _ = _read(_write(tmp_path, "r.csv", "id,title\n1,Pan\rred\n2,Pot\n"))
    assert [row["title"] for _, row in rows] == ["Pot"]
    assert "line 2: a lone return stands in a value without quotes" in faults[0]


def test_spaces_around_cells_do_not_count(tmp_path: Path) -> None:
    text = 'id, title, price\n1, "Kettle, steel", 9\n2 , Toaster , 5\n'
    assert _rows(_write(tmp_path, "p.csv", text)) == [
        {"id": "1", "title": "Kettle, steel", "price": "9"},
        {"id": "2", "title": "Toaster", "price": "5"},
    ]


def test_long_cells(tmp_path: Path) -> None:
    text = 'id,title,body\n1,Sofa,"' + "x" * 2_000_000 + '"\n2,Pan,y\n'
    rows = _rows(_write(tmp_path, "p.csv", text))
    assert [len(str(row["body"])) for row in rows] == [2_000_000, 1]


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    assert _rows(_write(tmp_path, "p.csv", gzip.compress(b"id;title\n1;Pan\n"))) == [{"id": "1", "title": "Pan"}]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.zip", b"PK\x03\x04rest", "is a zip archive"),
        ("p.csv", b"PK\x03\x04rest", "is a zip archive"),
        ("p.jsonl", b"\xfd7zXZ\x00rest", "is compressed with xz"),
        ("p.xls", b"\xd0\xcf\x11\xe0rest", "Excel workbook; save it as CSV"),
    ],
)
def test_what_is_no_text_gets_its_cure(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(FileFormatError, match=says):
        _rows(_write(tmp_path, name, content))
