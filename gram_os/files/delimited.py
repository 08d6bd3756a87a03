"""CSV and TSV: a header, then one row after the other. `dialect` finds out how a file is written.

A row with too few or too many cells, or with broken quotes, is a fault of that row. When quotes reach over several
lines and do not close, nobody can say where the row ends: that fault ends the stream.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gram_os.errors import FileFormatError
from gram_os.files.dialect import Dialect, Quotes, find_dialect, make_reader, split_line
from gram_os.files.json_values import Row, Rows
from gram_os.files.lines import MAX_LINE_BYTES, read_lines, read_sample

# A part of csv's own words -> words that say it plainly.
_CSV_WORDS = (
    ("expected after", "a value goes on behind its closing quote"),
    ("unexpected end of data", "a quote is never closed (unexpected end of data)"),
    ("new-line character", "a lone return stands in a value without quotes"),
    ("field larger than", f"a value is longer than {MAX_LINE_BYTES // 2**20} MiB"),
)

OnNote = Callable[[str], None]


def read_delimited(path: Path | str, usual: str, required: Sequence[str], on_note: OnNote) -> Rows:
    """Stream the rows of a CSV or TSV file. Empty cells and rows without a value are left out.

    usual: the delimiter that the file's extension promises. required: columns that the header must have. on_note takes
    a sentence about what was left out. Spaces around a cell do not count. A column without a name is left out.

    Raises FileFormatError for a missing column, a file without a row, and quotes that do not close.
    """
    sample, whole = read_sample(path)
    dialect = find_dialect(sample, usual, required, whole=whole)
    cells = _split_lines(path, dialect) if dialect.quotes is Quotes.CHARACTER else _parse_quotes(path, dialect)
    header: list[str] = []
    unnamed: set[int] = set()  # columns without a name that had no value so far
    rows = 0
    for line, found in cells:
        if isinstance(found, FileFormatError):
            rows += 1
            yield line, found
        elif not any(found):
            continue
        elif not header:
            header = _read_header(found)
            unnamed = {place for place, name in enumerate(header) if not name}
            check_columns(path, header, required)
        else:
            rows += 1
            for place in [place for place in unnamed if found[place : place + 1] not in ([], [""])]:
                unnamed.remove(place)
                on_note(f"column {place + 1} has no name in the header and is left out")
            yield line, _pair_cells(path, line, header, found)
    if rows == 0:
        raise FileFormatError(path, "holds no row" + (" after its header" if header else ""))


def _split_lines(path: Path | str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    for line, text in read_lines(path):
        if line > dialect.before_header:
            yield line, [cell.strip() for cell in split_line(text, dialect.delimiter)]


def _parse_quotes(path: Path | str, dialect: Dialect) -> Iterator[tuple[int, list[str] | FileFormatError]]:
    csv.field_size_limit(MAX_LINE_BYTES)  # csv's own limit is 128 KiB; a description with an image in it is longer
    # csv needs the line ends: inside quotes they belong to the value.
    lines = (text + "\n" for number, text in read_lines(path) if number > dialect.before_header)
    reader = make_reader(lines, dialect)
    while True:
        before = reader.line_num
        line = before + dialect.before_header + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = _explain_quotes(path, line, error)
            if reader.line_num - before > 1:
                raise fault from error
            yield line, fault
        else:
            yield line, [cell.strip() for cell in cells]


def _explain_quotes(path: Path | str, line: int, error: csv.Error) -> FileFormatError:
    words = next((plain for start, plain in _CSV_WORDS if start in str(error)), str(error))
    cure = "a value with the delimiter, quotes or line ends goes in quotes, and quotes in it are doubled"
    return FileFormatError(path, f"{words}; {cure}", line=line)


def _read_header(cells: Sequence[str]) -> list[str]:
    """Return the names of the columns. A name that is all in quotes is meant without them."""
    return [cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell for cell in cells]


def check_columns(path: Path | str, header: Sequence[str], required: Sequence[str]) -> None:
    """Raise FileFormatError when a column is missing or occurs twice. The error lists the columns there are."""
    for name in required:
        if name not in header:
            there = ", ".join(header[:30]) + (f" and {len(header) - 30} more" if len(header) > 30 else "")
            raise FileFormatError(path, f"there is no such column; the columns are: {there}", line=1, field=name)
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise FileFormatError(path, "this column is there twice; rename one", line=1, field=twice[0])


def _pair_cells(path: Path | str, line: int, header: Sequence[str], cells: Sequence[str]) -> Row | FileFormatError:
    """Return a row by its columns' names. Empty cells beyond the header, and missing ones without a name, are nothing.

    A row that is too short is a fault: a value with a line end in it, not in quotes, makes two of them.
    """
    if len(cells) != len(header) and (any(header[len(cells) :]) or any(cells[len(header) :])):
        return FileFormatError(path, f"{len(cells)} cells, but the header has {len(header)}", line=line)
    return {name: cell for name, cell in zip(header, cells, strict=False) if name and cell}
