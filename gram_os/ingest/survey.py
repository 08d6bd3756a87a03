"""Which fields a catalogue has, and of which kind. Found by reading it once. Knows nothing of OpenSearch.

Memory grows with the number of different fields, not with the number of products.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from gram_os.catalogue import Product

# Each field costs every node of the cluster some memory for good. The rarest fields are kept in the documents only.
_MAX_FIELDS = 10_000
_PROSE_CHARACTERS = 80  # a longer text is prose, which is also searched by its words

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?")


@dataclass(frozen=True, slots=True)
class Survey:
    """The fields of a catalogue.

    products: their number. fields: name -> kind, the most frequent first. left_out: names beyond the limit.
    """

    products: int
    fields: Mapping[str, str]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _FieldStats:
    """What the values of one field are like. longest: characters of the longest text."""

    products: int = 0
    kinds: set[str] = field(default_factory=set)
    longest: int = 0


def survey_fields(
    products: Iterable[Product], kinds: Mapping[str, str] | None = None, *, limit: int = _MAX_FIELDS
) -> Survey:
    """Read all products and choose a kind for each field. `kinds` are the user's choices, name -> kind, and they win.

    >>> rows = [Product("1", "Nut", {"size": 4, "colour": "red"}), Product("2", "Bolt", {"size": 4.5})]
    >>> survey_fields(rows).fields
    {'size': 'float', 'colour': 'keyword'}
    """
    stats: dict[str, _FieldStats] = {}
    count = 0
    for product in products:
        count += 1
        for name, value in product.fields.items():
            _add_value(stats.setdefault(name, _FieldStats()), value)
    chosen = dict(kinds or {})
    # To OpenSearch a name with a dot is a path, and a name that starts with an underscore is one of its own. They are
    # not mapped here.
    names = [name for name in stats if name.strip() and not name.startswith("_") and "." not in name]
    ranked = sorted(names, key=lambda name: (name not in chosen, -stats[name].products, name))
    fields = {name: chosen.get(name) or _choose_kind(stats[name]) for name in ranked[:limit]}
    return Survey(count, fields, tuple(ranked[limit:]))


def _add_value(stats: _FieldStats, value: object) -> None:
    stats.products += 1
    for item in value if isinstance(value, list) else [value]:
        kind = _kind_of(item)
        if kind is None:
            continue
        stats.kinds.add(kind)
        if isinstance(item, str):
            stats.longest = max(stats.longest, len(item))


def _kind_of(value: object) -> str | None:
    if isinstance(value, str):
        return "date" if _is_date(value) else "keyword"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "float"
    if isinstance(value, float):
        return "float"
    if isinstance(value, dict):
        return "object"
    return "mixed" if isinstance(value, list) else None


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text[:10])
        if len(text) > 10:
            datetime.fromisoformat(re.sub(r"\.\d+", "", text))
    except ValueError:
        return False
    return True


def _choose_kind(stats: _FieldStats) -> str:
    """Choose the kind that takes every value without losing any of it."""
    kinds = stats.kinds
    if len(kinds) == 1:
        (only,) = kinds
    elif kinds == {"integer", "float"}:
        only = "float"
    elif kinds & {"object", "mixed"}:
        only = "mixed"
    else:
        only = "keyword"
    return "prose" if only == "keyword" and stats.longest > _PROSE_CHARACTERS else only
