"""How a CSV or TSV file is written: its delimiter and what its quotes mean. Found in the first part of the file.

Knows text, and nothing of files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^"\w\s]|\t|\\t)"?\s*', re.IGNORECASE)
_BEFORE_OTHERS = re.compile(r'\\(?P<next>[\\"]?)')
_QUOTED_CELL = re.compile(r'"(?P<text>(?:[^"]|"")*)"')
# A file that is quoted throughout: each cell is in quotes, or is empty, a number, a date or a missing value.
_THROUGHOUT = re.compile(r'(?:(?:"(?:[^"]|"")*"|[-+\d.,:/ TZeE%]*|NA|NULL|null|\\N|true|false|TRUE|FALSE)[\t\n])*+')
_ALL_QUOTED = re.compile(r'"(?:[^"]|"")*"(?:\t(?:"(?:[^"]|"")*")?)+')


class Quotes(Enum):
    """What a quote means: it encloses a value, the same with backslashes before inner quotes, or it is a character."""

    ENCLOSE = "enclose"
    BACKSLASH = "backslash"
    CHARACTER = "character"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written. before_header: lines above the header, such as Excel's `sep=;`."""

    delimiter: str
    quotes: Quotes
    before_header: int = 0


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a dialect fits: the header's cells, and rows that have as many (`good`) or not (`bad`)."""

    dialect: Dialect
    header: Sequence[str]
    good: int
    bad: int


def find_dialect(sample: str, usual: str, required: Sequence[str], *, whole: bool) -> Dialect:
    r"""Find the dialect of a file in its first part.

    usual: the delimiter that the file's extension promises; it wins ties. required: names of columns that the header
    should have. whole: whether the sample is all of the file; its last line counts only then.

    A delimiter fits when the header has the required columns, and then when the rows have as many cells as the header.
    With tabs, quotes are characters, unless every text of the sample is in quotes. A backslash before a quote escapes
    it when rows fit only so.

    >>> find_dialect('id;title\n1;"Pan, red, 24 cm"\n', ",", ["id", "title"], whole=True).delimiter
    ';'
    """
    lines = sample.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not whole:
        lines.pop()
    before = 0
    delimiters: Sequence[str] = _DELIMITERS
    if lines and (separator := _SEPARATOR_LINE.fullmatch(lines[0])):
        delimiters = [separator["delimiter"].replace("\\t", "\t")]
        before, lines = 1, lines[1:]
    fits = [_fit(lines, delimiter, before, whole=whole) for delimiter in delimiters]
    return max(fits, key=lambda fit: _rank(fit, usual, required)).dialect


def _rank(fit: _Fit, usual: str, required: Sequence[str]) -> tuple[bool, bool, float, bool, int]:
    has_all = len(fit.header) > 1 and set(required) <= set(fit.header)
    share = fit.good / max(fit.good + fit.bad, 1)
    return has_all, len(fit.header) > 1, round(share, 2), fit.dialect.delimiter == usual, len(fit.header)


def _fit(lines: Sequence[str], delimiter: str, before: int, *, whole: bool) -> _Fit:
    if delimiter == "\t" and not _is_quoted_throughout(lines, whole=whole):
        return _count(lines, Dialect(delimiter, Quotes.CHARACTER, before), whole=whole)
    plain = _count(lines, Dialect(delimiter, Quotes.ENCLOSE, before), whole=whole)
    if not any('\\"' in line for line in lines):
        return plain
    escaped = _count(lines, Dialect(delimiter, Quotes.BACKSLASH, before), whole=whole)
    return min(plain, escaped, key=lambda fit: (fit.bad, -fit.good))


def _is_quoted_throughout(lines: Sequence[str], *, whole: bool) -> bool:
    filled = [line for line in lines if line.strip()]
    header = filled[0] if filled else ""
    if not all(_QUOTED_CELL.fullmatch(cell) for cell in header.split("\t") if cell):
        # A header without quotes counts only where even the numbers below it are in quotes.
        return len(filled) > 1 and all(_ALL_QUOTED.fullmatch(line) for line in filled[1:])
    if all(line.count("\t") == header.count("\t") for line in filled):
        # No value has a tab or a line end. A quote that only another line closes is then a character.
        return all(_THROUGHOUT.fullmatch(f"{line}\n") for line in filled)
    text = "\n".join(lines).rstrip("\n") + "\n"
    matched = _THROUGHOUT.match(text)
    end = matched.end() if matched else 0
    # The sample may end inside a cell.
    return end == len(text) or (not whole and end > 0 and text[end] == '"' and not _QUOTED_CELL.match(text, end))


def _count(lines: Sequence[str], dialect: Dialect, *, whole: bool) -> _Fit:
    header: Sequence[str] = []
    good = bad = 0
    # A file that ends within quotes is broken. A sample may end there.
    for cells in split_rows((line + "\n" for line in lines), dialect, whole=whole):
        if cells is not None and not any(cells):
            continue
        if not header:
            header = [name.strip() for name in cells or ()]
        elif cells is not None and len(cells) >= len(header) and not any(cells[len(header) :]):
            good += 1
        else:
            bad += 1
    return _Fit(dialect, header, good, bad)


def split_rows(lines: Iterable[str], dialect: Dialect, *, whole: bool = True) -> Iterator[list[str] | None]:
    """Yield the cells of each row of a sample. None stands for a row whose quotes are broken."""
    if dialect.quotes is Quotes.CHARACTER:
        yield from (split_line(line, dialect.delimiter) for line in lines)
        return
    reader = make_reader(lines, dialect)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if whole or "end of data" not in str(error):
                yield None


def make_reader(lines: Iterable[str], dialect: Dialect) -> Reader:
    r"""Return csv's reader for a dialect whose quotes enclose values. The lines keep their line ends.

    csv takes a backslash away before any character. Only the one before a quote or a backslash is an escape here:
    `C:\new` stays.
    """
    spaced = dialect.delimiter != "\t"  # in "a", "b" the space belongs to neither value
    if dialect.quotes is Quotes.ENCLOSE:
        return csv.reader(lines, delimiter=dialect.delimiter, strict=True, skipinitialspace=spaced)
    escaped = (_BEFORE_OTHERS.sub(lambda found: found[0] if found["next"] else "\\\\", line) for line in lines)
    return csv.reader(escaped, delimiter=dialect.delimiter, strict=True, skipinitialspace=spaced, escapechar="\\")


def split_line(line: str, delimiter: str) -> list[str]:
    """Split a line whose quotes are characters.

    A cell that is all in quotes and has doubled quotes inside comes from a writer that quotes where it must: such a
    cell is read as that writer means it.

    >>> split_line('1|"Best Dad" mug|24"', "|"), split_line('2|"A ""B"" C"', "|")
    (['1', '"Best Dad" mug', '24"'], ['2', 'A "B" C'])
    """
    cells = line.rstrip("\n").split(delimiter)
    return [_unquote(cell) if cell.startswith('"') else cell for cell in cells]


def _unquote(cell: str) -> str:
    found = _QUOTED_CELL.fullmatch(cell)
    if found and '"' in found["text"]:
        return found["text"].replace('""', '"')
    return "" if cell == '""' else cell
