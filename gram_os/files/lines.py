"""Bytes and lines of text files: compression, encodings and line ends. Every error names the line.

Compression and encoding are found in the bytes. Knows nothing of what stands in a line.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from gram_os.errors import FileFormatError

STDIN = "-"
MAX_LINE_BYTES = 64 * 1024 * 1024  # a longer line is no row: the file has no line ends
SAMPLE_BYTES = 256 * 1024  # the part of a file from which its form is found

_GZIP = b"\x1f\x8b"
# What people hand over in place of a text file: first bytes -> what it is, and the cure.
_FOREIGN = (
    (b"PK\x03\x04", "is a zip archive; unpack it and give the file in it (a workbook: save it as CSV)"),
    (b"PK\x05\x06", "is an empty zip archive; give the file that should be in it"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook; save it as CSV"),
    (b"BZh", "is compressed with bzip2; unpack it, or compress it with gzip"),
    (b"\xfd7zXZ\x00", "is compressed with xz; unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard; unpack it, or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it and give the file in it"),
    (b"%PDF", "is a PDF document; export the products as CSV or JSON lines"),
)
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DAMAGE = (EOFError, zlib.error, OSError)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a file's bytes become lines. newline: what ends a line, a line feed or, from old Macs, a lone return."""

    encoding: str = "utf-8"
    newline: str = "\n"


def check_file(path: Path | str) -> None:
    """Raise FileFormatError for a folder, a file that does not exist, and a file that is no text by its first bytes.

    `-` is standard input and always passes.
    """
    if str(path) == STDIN:
        return
    file = Path(path)
    if file.is_dir():
        raise FileFormatError(file, "is a folder; give the file in it")
    if not file.exists():
        raise FileFormatError(file, f"does not exist (looked in {Path.cwd()}); check the path")
    head = _first_bytes(file)
    for magic, words in _FOREIGN:
        if head.startswith(magic):
            raise FileFormatError(file, words)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(8)
    except OSError as error:
        raise FileFormatError(path, f"cannot be opened: {error.strerror or error}") from error


@contextmanager
def open_bytes(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a file as a stream of bytes. gzip is unpacked, whatever the file's name is.

    Raises FileFormatError when it cannot be opened.
    """
    if str(path) == STDIN:
        yield sys.stdin.buffer
        return
    zipped = str(path).lower().endswith(".gz") or _first_bytes(Path(path)).startswith(_GZIP)
    try:
        stream = cast("IO[bytes]", (gzip.open if zipped else open)(path, "rb"))
    except OSError as error:
        raise FileFormatError(path, f"cannot be opened: {error.strerror or error}") from error
    with stream:
        yield stream


@contextmanager
def explaining_damage(path: Path | str, *, line: int | None = None) -> Iterator[None]:
    """Turn the errors of a stream that cannot be read to its end into FileFormatError."""
    try:
        yield
    except _DAMAGE as error:
        raise _explain_damage(path, error, line) from error


def _explain_damage(path: Path | str, error: Exception, line: int | None) -> FileFormatError:
    if isinstance(error, gzip.BadGzipFile):
        words = f"the gzip file is damaged, or it is not gzip and .gz does not belong in its name ({error})"
    elif isinstance(error, OSError):
        words = f"cannot be read: {error.strerror or error}"
    else:
        words = f"the gzip file is cut off or damaged; copy it again ({error})"
    return FileFormatError(path, words, line=line)


def read_sample(path: Path | str) -> tuple[str, bool]:
    """Return the first `SAMPLE_BYTES` of a file as text, and whether that is the whole file.

    What is no text is replaced: the reader of the lines names it.
    """
    with open_bytes(path) as stream, explaining_damage(path, line=1):
        data = stream.read(SAMPLE_BYTES)
    text = data.decode(_find_encoding(path, data), errors="replace").removeprefix("\ufeff")
    return text, len(data) < SAMPLE_BYTES


def find_form(path: Path | str) -> TextForm:
    """Find the encoding of a file and what ends its lines. Standard input is UTF-8 with line feeds.

    Raises FileFormatError for UTF-16 without a byte order mark.
    """
    if str(path) == STDIN:
        return TextForm()
    with open_bytes(path) as stream, explaining_damage(path, line=1):
        data = stream.read(SAMPLE_BYTES)
    encoding = _find_encoding(path, data)
    if b"\r" not in data:
        return TextForm(encoding)
    # A line feed inside quotes belongs to a value: a file from an old Mac has its rows ended by returns all the same.
    text = data.decode(encoding, errors="replace")
    unquoted = _QUOTED.sub("", text)
    lone = "\n" not in unquoted and re.search(r"\r(?!\n)", unquoted) is not None
    return TextForm(encoding, "\r" if lone else "\n")


def _find_encoding(path: Path | str, data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    if b"\x00" in data[:2] and data[:2] != b"\x00\x00" and data[:40].count(b"\x00") * 3 >= len(data[:40]):
        raise FileFormatError(path, "is UTF-16 without a byte order mark; save the file as UTF-8", line=1)
    return "utf-8"


def read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """Stream `(line number, text without its line end)` of a text file, gzip or not.

    The text is UTF-8, or UTF-16 with a byte order mark. Raises FileFormatError for an empty file, a line that is not
    UTF-8, a line above `MAX_LINE_BYTES` and damaged gzip.
    """
    check_file(path)
    return _read_lines(path)


def _read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    form = find_form(path)
    number = 0
    with open_bytes(path) as stream:
        lines = _utf8_lines(path, stream) if form == TextForm() else _other_lines(path, stream, form)
        for text in lines:
            number += 1
            yield number, text.removeprefix("\ufeff") if number == 1 else text
    if number == 0:
        raise FileFormatError(path, "is empty")


def _utf8_lines(path: Path | str, stream: IO[bytes]) -> Iterator[str]:
    number = 1
    while True:
        try:
            raw = stream.readline(MAX_LINE_BYTES + 1)
        except _DAMAGE as error:
            raise _explain_damage(path, error, number) from error
        if not raw:
            return
        _check_length(path, number, len(raw))
        try:
            yield raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            wrong = f"byte 0x{raw[error.start]:02x} at position {error.start + 1} is not UTF-8; save the file as UTF-8"
            raise FileFormatError(path, wrong, line=number) from error
        number += 1


def _other_lines(path: Path | str, stream: IO[bytes], form: TextForm) -> Iterator[str]:
    reader = io.TextIOWrapper(stream, encoding=form.encoding, newline=form.newline)
    number = 1
    try:
        while text := _read_text_line(path, number, reader):
            _check_length(path, number, len(text))
            yield text.rstrip("\r\n")
            number += 1
    finally:
        reader.detach()  # the stream is closed by who opened it


def _read_text_line(path: Path | str, number: int, reader: io.TextIOWrapper) -> str:
    try:
        with explaining_damage(path, line=number):
            return reader.readline(MAX_LINE_BYTES + 1)
    except UnicodeDecodeError as error:
        encoding = reader.encoding.upper()
        wrong = f"byte 0x{error.object[error.start]:02x} is not {encoding}; save the file as UTF-8"
        raise FileFormatError(path, wrong, line=number) from error


def _check_length(path: Path | str, number: int, length: int) -> None:
    if length > MAX_LINE_BYTES:
        limit = f"{MAX_LINE_BYTES // 2**20} MiB"
        raise FileFormatError(path, f"is longer than {limit}; write one row a line", line=number)
