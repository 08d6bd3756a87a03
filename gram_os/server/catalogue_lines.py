"""The body of the catalogue hook: lines of JSON, each an id or a product. Pure.

A bad line is named by its number and does not stop the others. A product is read as `gram-os load` reads a row: nulls
are left out, and MongoDB's extended JSON is read as its value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from gram_os.errors import InputError
from gram_os.fields import read_field
from gram_os.files.json_values import describe, plain_value
from gram_os.ingest.queue import CatalogueChange

MOST_CHANGES: Final = 100_000  # in a request; each takes memory beside its bytes
_MOST_ERRORS: Final = 100
_MOST_ID_BYTES: Final = 512  # OpenSearch's limit
_DEEPEST: Final = 100  # levels; OpenSearch maps 20
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be used. line: counts from 1."""

    line: int
    error: str


@dataclass(frozen=True, slots=True)
class CatalogueLines:
    """What a body holds. changes: in the order of their lines. errors: the first 100 of `bad` lines that are wrong."""

    changes: tuple[CatalogueChange, ...]
    errors: tuple[BadLine, ...]
    bad: int

    @property
    def products(self) -> int:
        """The number of lines that are products. The other changes are ids."""
        return sum(change.product is not None for change in self.changes)


def parse_lines(body: bytes, *, id_field: str = "id", title_field: str = "title") -> CatalogueLines:
    r"""Read a body. Blank lines are skipped. Raises InputError when it has more than `MOST_CHANGES` changes.

    >>> lines = parse_lines(b'"4711"\n{"id": 4712}\n{"id": "4713", "title": "Lamp", "colour": "red"}\n\n{"id": true}')
    >>> [(change.id, change.product) for change in lines.changes]
    [('4711', None), ('4712', None), ('4713', {'id': '4713', 'title': 'Lamp', 'colour': 'red'})]
    >>> lines.errors
    (BadLine(line=5, error="field 'id': an id is text or a whole number, not the boolean true"),)
    """
    changes: list[CatalogueChange] = []
    errors: list[BadLine] = []
    bad = 0
    for number, line in _split(body.removeprefix(_BYTE_ORDER_MARK)):
        try:
            changes.append(_parse_line(line, id_field, title_field))
        except InputError as error:
            bad += 1
            if len(errors) < _MOST_ERRORS:
                errors.append(BadLine(number, str(error)))
        if len(changes) > MOST_CHANGES:
            raise InputError(f"more than {MOST_CHANGES:,} lines; send them in several requests")
    return CatalogueLines(tuple(changes), tuple(errors), bad)


def _split(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. Only a line feed ends a line, as NDJSON has it."""
    number, start = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        number += 1
        if line := body[start:end].strip():
            yield number, line
        start = end + 1


def _parse_line(line: bytes, id_field: str, title_field: str) -> CatalogueChange:
    value = _parse_json(line)
    if not isinstance(value, dict):
        return CatalogueChange(_check_id(value, "a line is an id or an object with one, and an id"))
    row = {name: item for name, item in value.items() if item is not None}
    found = read_field(row, id_field)
    if found is None:
        raise InputError(
            f"field '{id_field}' is missing (the line has: {', '.join(list(row)[:12])[:200] or 'nothing'})"
        )
    id_ = _check_id(found, f"field '{id_field}': an id")
    if _holds_nothing_but(value, id_field):
        return CatalogueChange(id_)
    _check_title(read_field(row, title_field), title_field)
    return CatalogueChange(id_, row)


def _parse_json(line: bytes) -> Any:
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
        if _is_deeper(value, _DEEPEST):
            raise InputError(f"nested deeper than {_DEEPEST} levels")
        value = plain_value(value)
        # What cannot be written again is refused here, where its line is known: half an emoji, 1e999.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} at column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: byte {error.start + 1} of the line") from error
    except UnicodeEncodeError as error:
        raise InputError("holds half a surrogate pair, which is not text") from error
    except RecursionError as error:
        raise InputError(f"nested deeper than {_DEEPEST} levels") from error
    except ValueError as error:
        raise InputError(f"holds a number that cannot be kept: {str(error)[:200]}") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is no JSON number; leave the field out or write null")


def _is_deeper(value: object, levels: int) -> bool:
    """Say whether lists and objects stand in each other more than `levels` deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _check_id(value: object, what: str) -> str:
    """Return an id as text. `what` begins the sentence of the error."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InputError(f"{what} is text or a whole number, not {describe(value)}")
    if not value.strip():
        raise InputError(f"{what} is not blank")
    if (size := len(value.encode())) > _MOST_ID_BYTES:
        raise InputError(f"{what} has at most {_MOST_ID_BYTES} bytes, not {size}")
    return value


def _check_title(value: object, field: str) -> None:
    if value is None or value == "":
        raise InputError(
            f"field '{field}' is missing; a product needs a title, and a line with the id alone is for a product whose "
            "document is in the index"
        )
    if not isinstance(value, str):
        raise InputError(f"field '{field}': a title is text, not {describe(value)}")
    if not value.strip():
        raise InputError(f"field '{field}' is blank; a product needs a title")


def _holds_nothing_but(row: dict[str, Any], path: str) -> bool:
    """Say whether a field is all that an object has, however it is nested.

    >>> _holds_nothing_but({"sku": {"id": 1}}, "sku.id"), _holds_nothing_but({"sku": {"id": 1, "n": 2}}, "sku.id")
    (True, False)
    """
    if len(row) != 1:
        return False
    ((name, inner),) = row.items()
    if name == path:
        return True
    return isinstance(inner, dict) and path.startswith(f"{name}.") and _holds_nothing_but(inner, path[len(name) + 1 :])
