"""Products, queries, judgments and clicks as values, and their readers.

Knows what the four kinds of files mean. `rows` knows how JSON lines, CSV and Parquet are read. Products and clicks are
streamed. Queries and judgments are lists, since their users need all of them. Every fault in a file raises
FileFormatError with file, line and field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from gram_os.errors import FileFormatError, InputError
from gram_os.rows import Row, describe, read_lines, read_rows

_MAX_ID_BYTES = 512  # OpenSearch's limit: one longer id fails the whole bulk request
_JUDGMENT_COLUMNS = ("query_id", "product_id", "relevance")
_CLICK_COLUMNS = ("query", "product_id")


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the catalogue: id, title, and the other fields of its row as JSON values.

    >>> product = Product("4711", "Acme running shoes", {"colour": "red", "sizes": [42, 43]})
    >>> product.title, product.fields["colour"]
    ('Acme running shoes', 'red')
    """

    id: str
    title: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a test set."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Judgment:
    """The grade that people gave a product for a query, on the scale of their file."""

    query_id: str
    product_id: str
    relevance: float


@dataclass(frozen=True, slots=True)
class Click:
    """The number of clicks of one query on one product. Impressions and position are None where the log has none."""

    query: str
    product_id: str
    clicks: float
    impressions: float | None
    position: float | None


def read_products(
    path: Path | str,
    *,
    id_field: str = "id",
    title_field: str = "title",
    fields: Mapping[str, str] | None = None,
) -> Iterator[Product]:
    """Stream the products of a JSONL, CSV, TSV (each also .gz) or Parquet file. `-` is JSON lines on standard input.

    `fields` is field name -> type that its values are cast to: keyword, text, integer, float, boolean or date. Raises
    InputError for an unknown type and for a type of the id or title field, and FileFormatError for faults in the file.
    """
    casts = dict(fields or {})
    for name, kind in casts.items():
        if kind not in _CASTS:
            raise InputError(f"field '{name}': unknown type '{kind}'; the types are {', '.join(_CASTS)}")
        if name in (id_field, title_field):
            raise InputError(f"field '{name}': the id and the title are always text; leave its type out")
    rows = read_rows(path, required=(id_field, title_field, *casts))
    return _make_products(path, rows, id_field, title_field, casts)


def _make_products(
    path: Path | str,
    rows: Iterator[tuple[int, Row]],
    id_field: str,
    title_field: str,
    casts: Mapping[str, str],
) -> Iterator[Product]:
    for line, row in rows:
        product_id = _take_id(path, line, row, id_field)
        title = _take_title(path, line, row, title_field)
        for name, kind in casts.items():
            if name in row:
                row[name] = _cast_field(path, line, name, row[name], kind)
        yield Product(product_id, title, row)


def _take_id(path: Path | str, line: int, row: Row, field: str) -> str:
    value = row.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        row[field] = str(value)
    product_id = _take_text(path, line, row, field, form="an id is text or an integer", need="an id of its own")
    if len(product_id.encode()) > _MAX_ID_BYTES:
        limit = f"{len(product_id.encode())} bytes long; OpenSearch takes ids up to {_MAX_ID_BYTES} bytes"
        raise FileFormatError(path, limit, line=line, field=field)
    return product_id


def _take_title(path: Path | str, line: int, row: Row, field: str) -> str:
    return _take_text(path, line, row, field, form="a title is text", need="a title")


def _take_text(path: Path | str, line: int, row: Row, field: str, *, form: str, need: str) -> str:
    """Remove a field from the row and return its text. `form` and `need` are words of the errors."""
    value = row.pop(field, None)
    if value is None or value == "":
        raise _missing(path, line, field, row)
    if not isinstance(value, str):
        raise FileFormatError(path, f"{form}, not {describe(value)}", line=line, field=field)
    if not value.strip():
        raise FileFormatError(path, f"is blank; every product needs {need}", line=line, field=field)
    return value


def _missing(path: Path | str, line: int, field: str, row: Row) -> FileFormatError:
    there = ", ".join(list(row)[:12]) or "nothing"
    message = f"is missing (the row has: {there}); add it, or name another with --id-field / --title-field"
    return FileFormatError(path, message, line=line, field=field)


def _cast_field(path: Path | str, line: int, name: str, value: object, kind: str) -> object:
    try:
        return cast_value(value, kind)
    except InputError as error:
        raise FileFormatError(path, str(error), line=line, field=name) from error


def cast_value(value: object, kind: str) -> object:
    """Cast a JSON value, or each value of a list, to a type of `_CASTS`. None stays None.

    Raises InputError when the value is not of that type.

    >>> cast_value(["12", 7.0], "integer"), cast_value("Yes", "boolean"), cast_value("2009-12-10 08:30", "date")
    ([12, 7], True, '2009-12-10T08:30:00')
    """
    if isinstance(value, list):
        return [cast_value(item, kind) for item in value]
    if value is None:
        return None
    try:
        if isinstance(value, dict):
            raise ValueError
        return _CASTS[kind](value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{describe(value)} is no {kind}{_CURES.get(kind, '')}") from error


def _cast_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cast_integer(value: object) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value) if isinstance(value, float) else int(_plain_number(value))


def _plain_number(value: object) -> str:
    text = str(value)
    if "_" in text:  # only Python reads 1_000 as a number
        raise ValueError
    return text


def _cast_float(value: object) -> float:
    if isinstance(value, bool):
        raise ValueError
    number = float(_plain_number(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _cast_boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text]


def _cast_date(value: object) -> str:
    # Python accepts more of ISO 8601 than OpenSearch, so the date is written in the form of OpenSearch's default
    # format.
    if not isinstance(value, str):
        raise ValueError
    text = value.strip()
    return date.fromisoformat(text).isoformat() if len(text) <= 10 else datetime.fromisoformat(text).isoformat()


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_CURES = {
    "boolean": "; write one of " + ", ".join(_BOOLEANS),
    "date": "; write it as 2026-11-22 or 2026-11-22T08:30:00Z",
    "float": "; write a finite number with a decimal point",
}
_CASTS: Mapping[str, Callable[[object], object]] = {
    "keyword": _cast_text,
    "text": _cast_text,
    "integer": _cast_integer,
    "float": _cast_float,
    "boolean": _cast_boolean,
    "date": _cast_date,
}


def read_queries(path: Path | str) -> list[Query]:
    """Read a TSV of `query_id<TAB>text`. A header is optional: a first line that begins with `query_id` is skipped."""
    first_line: dict[str, int] = {}
    queries = []
    for line, cells in _read_cells(path):
        if line == 1 and cells[0].lower() == "query_id":
            continue
        if len(cells) != 2:
            raise FileFormatError(path, f"{len(cells)} cells; a line is query_id<TAB>text", line=line)
        query = Query(_text_cell(path, line, "query_id", cells[0]), _text_cell(path, line, "text", cells[1]))
        if query.id in first_line:
            twice = f"'{query.id}' is in line {first_line[query.id]} already; give each query an id of its own"
            raise FileFormatError(path, twice, line=line, field="query_id")
        first_line[query.id] = line
        queries.append(query)
    if not queries:
        raise FileFormatError(path, "holds no query")
    return queries


def read_judgments(path: Path | str) -> list[Judgment]:
    """Read judgments.

    The file is a TSV with the header `query_id product_id relevance`, or TREC qrels (four columns, no header). A pair
    that is judged twice raises FileFormatError.
    """
    judgments: dict[tuple[str, str], Judgment] = {}
    rows = _read_lines_of_judgments(path)
    for line, judgment in rows:
        pair = (judgment.query_id, judgment.product_id)
        if pair in judgments:
            twice = f"query '{pair[0]}' and product '{pair[1]}' are judged in an earlier line already; keep one"
            raise FileFormatError(path, twice, line=line)
        judgments[pair] = judgment
    if not judgments:
        raise FileFormatError(path, "holds no judgment")
    return list(judgments.values())


def _read_lines_of_judgments(path: Path | str) -> Iterator[tuple[int, Judgment]]:
    header: list[str] | None = None
    for line, cells in _read_cells(path):
        if header is None:
            header = _judgment_header(path, line, cells)
            if "iteration" not in header:
                continue
        if "iteration" in header:
            cells = " ".join(cells).split()
        if len(cells) != len(header):
            raise FileFormatError(path, f"{len(cells)} cells; a line has {' '.join(header)}", line=line)
        named = dict(zip(header, cells, strict=True))
        query_id, product_id = (_text_cell(path, line, name, named[name]) for name in _JUDGMENT_COLUMNS[:2])
        yield line, Judgment(query_id, product_id, _number_cell(path, line, "relevance", named["relevance"]))


def _judgment_header(path: Path | str, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if set(_JUDGMENT_COLUMNS) <= set(names):
        return names
    if len(" ".join(cells).split()) == 4:
        return ["query_id", "iteration", "product_id", "relevance"]
    forms = "a TSV header 'query_id product_id relevance' or four TREC columns 'query_id 0 product_id relevance'"
    raise FileFormatError(path, f"the first line is {forms}, not {describe('  '.join(cells))}", line=line)


def read_clicks(path: Path | str) -> Iterator[Click]:
    """Stream the clicks of a TSV with the header `query product_id`.

    The columns `clicks`, `impressions` and `position` are optional. A line without a number of clicks counts as one
    click.
    """
    cells = _read_cells(path)
    line, header = next(cells, (1, [""]))
    header = [name.strip().lower() for name in header]
    for name in _CLICK_COLUMNS:
        if name not in header:
            message = f"there is no such column; the first line names the columns: {', '.join(header)}"
            raise FileFormatError(path, message, line=line, field=name)
    return _make_clicks(path, cells, header)


def _make_clicks(path: Path | str, rows: Iterator[tuple[int, list[str]]], header: list[str]) -> Iterator[Click]:
    for line, cells in rows:
        if len(cells) != len(header):
            raise FileFormatError(path, f"{len(cells)} cells, but the header has {len(header)}", line=line)
        named = dict(zip(header, cells, strict=True))
        query, product_id = (_text_cell(path, line, name, named[name]) for name in _CLICK_COLUMNS)
        clicks, impressions, position = (
            _count_cell(path, line, name, named.get(name, "")) for name in ("clicks", "impressions", "position")
        )
        yield Click(query, product_id, 1.0 if clicks is None else clicks, impressions, position)


def _read_cells(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    # No quoting here: a query may begin with a quote, and no query contains a tab.
    for line, text in read_lines(path):
        if text.strip():
            yield line, text.split("\t")


def _text_cell(path: Path | str, line: int, field: str, cell: str) -> str:
    text = cell.strip()
    if not text:
        raise FileFormatError(path, "is empty", line=line, field=field)
    return text


def _number_cell(path: Path | str, line: int, field: str, cell: str) -> float:
    try:
        return _cast_float(cell)
    except ValueError as error:
        raise FileFormatError(path, f"{describe(cell)} is no finite number", line=line, field=field) from error


def _count_cell(path: Path | str, line: int, field: str, cell: str) -> float | None:
    if not cell.strip():
        return None
    count = _number_cell(path, line, field, cell)
    if count < 0:
        raise FileFormatError(path, f"{describe(cell)} is below 0", line=line, field=field)
    return count
