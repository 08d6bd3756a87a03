"""Values of rows: JSON values, and what other tools write in place of them. Knows no files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from gram_os.errors import FileFormatError, InputError

Row = dict[str, object]
#: What a reader yields for a row: its line, and the row or what is wrong with it. A wrong row ends no stream.
Rows = Iterator[tuple[int, Row | FileFormatError]]


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


def plain_value(value: Any) -> Any:
    """Return a JSON value with MongoDB's extended JSON replaced by the values that it stands for.

    Raises InputError for an object of that form whose value cannot be read.

    >>> plain_value({"_id": {"$oid": "65f0"}, "price": {"$numberDecimal": "49.00"}, "tags": [{"$numberLong": "7"}]})
    {'_id': '65f0', 'price': 49.0, 'tags': [7]}
    >>> plain_value({"$date": {"$numberLong": "1793491200000"}})
    '2026-11-01T00:00:00Z'
    """
    if isinstance(value, list):
        return [plain_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key in _EXTENDED:
            try:
                return _EXTENDED[key](plain_value(inner))
            except (ValueError, TypeError, OverflowError) as error:
                raise InputError(f"{key} with {describe(inner)} cannot be read") from error
    return {key: plain_value(item) for key, item in value.items()}


def _read_fraction(value: Any) -> object:
    number = float(value)
    return number if math.isfinite(number) else None


def _read_date(value: Any) -> str:
    """Read a moment: text stays as it is, a number is milliseconds since 1970."""
    if isinstance(value, str):
        return value
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


_EXTENDED: dict[str, Any] = {
    "$oid": str,
    "$uuid": str,
    "$symbol": str,
    "$numberInt": int,
    "$numberLong": int,
    "$numberDouble": _read_fraction,
    "$numberDecimal": _read_fraction,
    "$date": _read_date,
}


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
