"""JSON lines: one object a line. A line that is no object is a fault of that row alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

from gram_os.errors import FileFormatError, InputError
from gram_os.files.json_values import Row, Rows, describe, plain_value
from gram_os.files.lines import read_lines


def read_json_lines(path: Path | str) -> Rows:
    """Stream the rows. Nulls are left out. MongoDB's extended JSON (`{"$oid": ..}`) is read as its value.

    Raises FileFormatError for a file that is one JSON document, and for one without a row.
    """
    rows = 0
    for number, text in read_lines(path):
        if text.strip():
            rows += 1
            yield number, _parse_row(path, number, text)
    if rows == 0:
        raise FileFormatError(path, "holds no row")


def _parse_row(path: Path | str, number: int, text: str) -> Row | FileFormatError:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:  # half an emoji ("\ud83d" alone) parses, but cannot be encoded and sent
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        if '"$' in text:
            value = plain_value(value)
    except json.JSONDecodeError as error:
        if number == 1 and text.strip() in ("[", "{"):
            _refuse_document(path)
        return FileFormatError(path, f"broken JSON at column {error.colno}: {error.msg}", line=number)
    except UnicodeEncodeError:
        return FileFormatError(path, "holds half a surrogate pair, which is not text", line=number)
    except (ValueError, RecursionError) as error:
        return FileFormatError(path, f"broken JSON: {error}", line=number)
    except InputError as error:
        return FileFormatError(path, str(error), line=number)
    if isinstance(value, list) and number == 1:
        _refuse_document(path)
    if not isinstance(value, dict):
        return FileFormatError(path, f"a row is a JSON object, not {describe(value)}", line=number)
    if number == 1 and len(value) == 1:
        _check_wrapper(path, value)
    return {key: item for key, item in value.items() if item is not None}


def _check_wrapper(path: Path | str, value: dict[str, object]) -> None:
    """Raise FileFormatError for a first line that is no product: a whole document, or an action of a bulk request."""
    ((name, inner),) = value.items()
    if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
        words = f"is one JSON document; write one object a line: jq -c '.[\"{name}\"][]' does it"
        raise FileFormatError(path, words, line=1)
    if name in ("index", "create", "update", "delete") and isinstance(inner, dict) and {"_id", "_index"} & set(inner):
        words = "is a bulk request; write one product a line, with its id as a field"
        raise FileFormatError(path, words, line=1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number; leave the field out or write null")


def _refuse_document(path: Path | str) -> NoReturn:
    raise FileFormatError(path, "is one JSON document; write one object a line: jq -c '.[]' does it", line=1)
