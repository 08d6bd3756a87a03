"""Streams of rows out of JSON lines, CSV, TSV and Parquet files. Every error names the line.

Knows file formats, and nothing of products or queries. At most one line (or one Parquet batch) is in memory, so files
of any size can be read. A row is a dict of JSON values. Nulls and empty cells are left out.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from gram_os.errors import FileFormatError, InputError

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PARQUET_SUFFIXES = (".parquet", ".pq")
STDIN = "-"

MAX_LINE_BYTES = 64 * 1024 * 1024  # a longer line is no row: the file has no line ends
_PARQUET_BATCH = 1000

Row = dict[str, object]


def _check_file(path: Path | str) -> None:
    """Raise FileFormatError when `path` is a folder or does not exist. `-` is standard input and always passes."""
    if str(path) == STDIN:
        return
    file = Path(path)
    if file.is_dir():
        raise FileFormatError(file, "is a folder; give the file in it")
    if not file.exists():
        raise FileFormatError(file, f"does not exist (looked in {Path.cwd()}); check the path")


def _row_format(path: Path | str) -> str:
    """Return the format of a file of rows, `jsonl`, `csv`, `tsv` or `parquet`, by its extension.

    Raises FileFormatError for an unknown extension.

    >>> _row_format("shop/products.jsonl.gz"), _row_format("export.CSV"), _row_format("-")
    ('jsonl', 'csv', 'jsonl')
    """
    if str(path) == STDIN:
        return "jsonl"
    name = Path(path).name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix in _JSON_SUFFIXES:
        return "jsonl"
    if suffix in _DELIMITERS:
        return suffix[1:]
    if suffix in _PARQUET_SUFFIXES and not name.endswith(".gz"):
        return "parquet"
    known = ", ".join((*_JSON_SUFFIXES, *_DELIMITERS)) + " (each also .gz), .parquet"
    raise FileFormatError(path, f"unknown extension '{Path(name).suffix}'; known are {known}")


def read_rows(path: Path | str, *, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Stream `(line, row)`. `line` counts from 1; in Parquet it is the number of the row.

    `required` are columns that a CSV, TSV or Parquet file must have. JSON lines have no header, so the caller checks
    each row. Raises FileFormatError for a missing column, listing the columns there are, for a file without a row, and
    for everything that cannot be read.
    """
    _check_file(path)
    form = _row_format(path)
    if form == "parquet":
        return _read_parquet(Path(path), required)
    if form == "jsonl":
        return _read_jsonl(path)
    return _read_delimited(path, _DELIMITERS["." + form], required)


def read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """Stream `(line number, text without its line end)` of a UTF-8 text file, gzip or not.

    Raises FileFormatError for an empty file, a line that is not UTF-8, a line above `MAX_LINE_BYTES` and damaged gzip.
    """
    _check_file(path)
    return _read_lines(path)


def _read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    number = 0
    with _open_bytes(path) as stream:
        while True:
            try:
                raw = stream.readline(MAX_LINE_BYTES + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                cure = "the gzip file is cut off or damaged; copy it again"
                raise FileFormatError(path, f"{cure} ({error})", line=number + 1) from error
            except OSError as error:
                raise FileFormatError(path, f"cannot be read: {error.strerror or error}", line=number + 1) from error
            if not raw:
                break
            number += 1
            yield number, _decode_line(path, number, raw)
    if number == 0:
        raise FileFormatError(path, "is empty")


def _decode_line(path: Path | str, number: int, raw: bytes) -> str:
    if len(raw) > MAX_LINE_BYTES:
        limit = f"{MAX_LINE_BYTES // 2**20} MiB"
        raise FileFormatError(path, f"is longer than {limit}; write one row a line", line=number)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{raw[error.start]:02x} at position {error.start + 1} is not UTF-8; save the file as UTF-8"
        raise FileFormatError(path, wrong, line=number) from error
    return text.removeprefix("\ufeff").rstrip("\r\n") if number == 1 else text.rstrip("\r\n")


@contextmanager
def _open_bytes(path: Path | str) -> Iterator[IO[bytes]]:
    if str(path) == STDIN:
        yield sys.stdin.buffer
        return
    zipped = str(path).lower().endswith(".gz")
    try:
        stream = cast("IO[bytes]", (gzip.open if zipped else open)(path, "rb"))
    except OSError as error:
        raise FileFormatError(path, f"cannot be opened: {error.strerror or error}") from error
    with stream:
        yield stream


def _read_jsonl(path: Path | str) -> Iterator[tuple[int, Row]]:
    rows = 0
    for number, text in _read_lines(path):
        if text.strip():
            rows += 1
            yield number, _parse_json_row(path, number, text)
    if rows == 0:
        raise FileFormatError(path, "holds no row")


def _parse_json_row(path: Path | str, number: int, text: str) -> Row:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:  # half an emoji ("\ud83d" alone) parses, but cannot be encoded and sent
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        if number == 1 and text.strip() in ("[", "{"):
            _refuse_document(path)
        raise FileFormatError(path, f"broken JSON at column {error.colno}: {error.msg}", line=number) from error
    except UnicodeEncodeError as error:
        raise FileFormatError(path, "holds half a surrogate pair, which is not text", line=number) from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"broken JSON: {error}", line=number) from error
    if isinstance(value, list) and number == 1:
        _refuse_document(path)
    if not isinstance(value, dict):
        raise FileFormatError(path, f"a row is a JSON object, not {describe(value)}", line=number)
    return {key: item for key, item in value.items() if item is not None}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number; leave the field out or write null")


def _refuse_document(path: Path | str) -> NoReturn:
    raise FileFormatError(path, "is one JSON document; write one object a line: jq -c '.[]' does it", line=1)


def _read_delimited(path: Path | str, delimiter: str, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    # csv needs the line ends: inside quotes they belong to the value.
    lines = (text + "\n" for _, text in _read_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    rows, line = 0, 1
    try:
        for cells in reader:
            if not header:
                header = [name.strip() for name in cells]
                _check_columns(path, header, required)
            elif cells:
                rows += 1
                yield line, _pair_cells(path, line, header, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        cure = "a value with the delimiter, quotes or line ends goes in quotes, and quotes in it are doubled"
        raise FileFormatError(path, f"{error}; {cure}", line=line) from error
    if rows == 0:
        raise FileFormatError(path, "holds no row" + (" after its header" if header else ""))


def _check_columns(path: Path | str, header: Sequence[str], required: Sequence[str]) -> None:
    """Raise FileFormatError when a column is missing or occurs twice. The error lists the columns there are."""
    for name in required:
        if name not in header:
            there = ", ".join(header[:30]) + (f" and {len(header) - 30} more" if len(header) > 30 else "")
            raise FileFormatError(path, f"there is no such column; the columns are: {there}", line=1, field=name)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FileFormatError(path, "this column is there twice; rename one", line=1, field=twice[0])


def _pair_cells(path: Path | str, line: int, header: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(header):
        raise FileFormatError(path, f"{len(cells)} cells, but the header has {len(header)}", line=line)
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}


def _read_parquet(path: Path, required: Sequence[str]) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _check_columns(path, file.schema_arrow.names, required)
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _clean_parquet_row(path, number, row)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = str(error).splitlines()[0]
        raise FileFormatError(path, f"is not a whole Parquet file: {message}", line=number + 1) from error
    if number == 0:
        raise FileFormatError(path, "holds no row")


def _clean_parquet_row(path: Path, number: int, row: Mapping[str, object]) -> Row:
    clean: Row = {}
    for name, value in row.items():
        try:
            item = as_json(value)
        except InputError as error:
            raise FileFormatError(path, str(error), line=number, field=name) from error
        if item is not None:
            clean[name] = item
    return clean


def as_json(value: Any) -> object:
    """Turn a value of a Parquet column into a JSON value. NaN becomes None: pandas writes it for a missing number.

    Raises InputError for infinity and for a type without a JSON form.

    >>> as_json([date(2026, 11, 22), Decimal("1.50"), float("nan")])
    ['2026-11-22', 1.5, None]
    """
    if isinstance(value, float):
        if math.isinf(value):
            raise InputError("infinity is no JSON number; leave the field empty")
        return None if math.isnan(value) else value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return as_json(float(value))
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    raise InputError(f"a value of type {type(value).__name__} has no JSON form; cast the column to text or numbers")


def describe(value: object) -> str:
    """Describe a JSON value, short enough for an error message.

    >>> describe(True), describe("red"), describe([1])
    ('the boolean true', "the text 'red'", 'a list')
    """
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text '{value[:40]}...'" if len(value) > 40 else f"the text '{value}'"
    if value is None:
        return "null"
    return "a list" if isinstance(value, list) else "an object"
