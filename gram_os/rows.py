"""Streams of rows out of JSON lines, CSV, TSV, Parquet and XML feeds. Every error names the line.

Chooses the reader of a file; `gram_os.files` has the readers. Knows nothing of products or queries. At most one row (or
one Parquet batch) is in memory, so files of any size can be read. A row is a dict of JSON values. Nulls and empty cells
are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gram_os.errors import FileFormatError
from gram_os.files.delimited import OnNote, read_delimited
from gram_os.files.feed import read_feed
from gram_os.files.json_lines import read_json_lines
from gram_os.files.json_values import Row, Rows, describe
from gram_os.files.lines import STDIN, check_file, read_lines
from gram_os.files.parquet import read_parquet

__all__ = ["STDIN", "OnFault", "OnNote", "Row", "describe", "has_texts_only", "read_lines", "read_rows"]

#: Takes the fault of one row, which is then left out.
OnFault = Callable[[FileFormatError], None]

_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_PARQUET_SUFFIXES = (".parquet", ".pq")


def _row_format(path: Path | str) -> str:
    """Return the format of a file of rows, `jsonl`, `csv`, `tsv`, `txt`, `xml` or `parquet`, by its extension.

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
    if suffix in _DELIMITERS or suffix == ".xml":
        return suffix[1:]
    if suffix in _PARQUET_SUFFIXES and not name.endswith(".gz"):
        return "parquet"
    known = ", ".join((*_JSON_SUFFIXES, *_DELIMITERS, ".xml")) + " (each also .gz), .parquet"
    raise FileFormatError(path, f"unknown extension '{Path(name).suffix}'; known are {known}")


def has_texts_only(path: Path | str) -> bool:
    """Say whether the format knows texts only, so that a number is a text of digits: CSV, TSV and XML."""
    return _row_format(path) not in ("jsonl", "parquet")


def read_rows(
    path: Path | str, *, required: Sequence[str], on_fault: OnFault | None = None, on_note: OnNote | None = None
) -> Iterator[tuple[int, Row]]:
    """Stream `(line, row)`. `line` counts from 1; in Parquet it is the number of the row.

    `required` are columns that a CSV, TSV or Parquet file must have. JSON lines and feeds have no header, so the caller
    checks each row. on_fault takes what is wrong with a row, and the row is left out; without it, the first fault is
    raised. on_note takes a sentence about what the reader left out, such as a column without a name.

    Raises FileFormatError for a missing column, listing the columns there are, for a file without a row, and for
    everything that cannot be read.
    """
    check_file(path)
    return _pass_rows(_open_rows(path, required, on_note or _drop_note), on_fault)


def _open_rows(path: Path | str, required: Sequence[str], on_note: OnNote) -> Rows:
    form = _row_format(path)
    if form == "parquet":
        return read_parquet(Path(path), required)
    if form == "jsonl":
        return read_json_lines(path)
    if form == "xml":
        return read_feed(path)
    return read_delimited(path, _DELIMITERS["." + form], required, on_note)


def _pass_rows(rows: Rows, on_fault: OnFault | None) -> Iterator[tuple[int, Row]]:
    for line, row in rows:
        if not isinstance(row, FileFormatError):
            yield line, row
        elif on_fault is None:
            raise row
        else:
            on_fault(row)


def _drop_note(_: str) -> None:
    """Take a note that nobody wants."""
