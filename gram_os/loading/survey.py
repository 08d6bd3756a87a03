"""Which fields a catalogue has, of which kind, and under which names. Found by reading it once.

Knows the limits of OpenSearch's fields, and never talks to it. Memory grows with the number of different fields, not
with the number of products.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from gram_os.catalogue import Product
from gram_os.fields import read_field
from gram_os.files.casts import is_amount
from gram_os.files.names import FieldNames, safe_value

#: The name under which an index keeps the title.
TITLE: Final = "title"

# Each field costs every node of the cluster some memory for good. The rarest fields are kept in the documents only.
_MAX_FIELDS = 10_000
_PROSE_CHARACTERS = 80  # a longer text is prose, which is also searched by its words
# One term of Lucene's, in bytes. `flat_object` makes a term out of each value with its path.
_LARGEST_TERM = 32_766
_SHORT = 4_000  # characters that are surely no such term
_MOST_INNER = 200  # fields inside an object that are mapped one by one
_DEEPEST_INNER = 10
_LARGEST_FLOAT = 1e300
_NUMBERS = ("integer", "float")
_MOSTLY = 0.8  # share of numbers in a column that somebody wants to filter by ranges
_MIXTURE = "it has nested lists, or objects beside plain values"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T([01]\d|2[0-3]):\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-](0\d|1[0-7]):[0-5]\d)?)?")
_WHOLE = re.compile(r"0|-?[1-9]\d{0,14}")
_FRACTION = re.compile(r"-?(0|[1-9]\d*)\.\d+")
_EXACT_DIGITS = 15  # of a float
# The last word of a column of ids. Its digits are no amount: nobody asks for a range of them.
_ID_WORD = re.compile(r"ids?|skus?|ean|gtin\d*|upc|isbn|mpn|asin|barcode|code|handle|number|no|nr")


@dataclass(frozen=True, slots=True)
class Survey:
    """The fields of a catalogue.

    products: their number. fields: name in the index -> kind, the most frequent first. left_out: names beyond the
    limit. names: the names of the file and of the index; without it they are the same. inner_names: those inside
    objects that could not stay. casts: name in the file -> kind, for columns whose texts are all numbers or truth
    values. notes: sentences for the user about what was read in another way than it stands in the file.
    """

    products: int
    fields: Mapping[str, str]
    left_out: tuple[str, ...]
    names: FieldNames = field(default_factory=lambda: FieldNames(taken=(TITLE,)), compare=False)
    inner_names: Mapping[str, str] = field(default_factory=dict)
    casts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _FieldStats:
    """What the values of one field are like.

    longest: characters of the longest text. text: the first one. numbers: how many values are numbers, or texts that
    stand for one. amounts: whether every text is an amount of money. too_long: whether an object has a value that is no
    term. inner: the fields inside its objects.
    """

    products: int = 0
    kinds: set[str] = field(default_factory=set)
    longest: int = 0
    text: str = ""
    numbers: int = 0
    amounts: bool = True
    too_long: bool = False
    inner: dict[str, _FieldStats] = field(default_factory=dict)


def survey_fields(
    products: Iterable[Product],
    kinds: Mapping[str, str] | None = None,
    *,
    id_field: str = "id",
    texts_only: bool = False,
    limit: int = _MAX_FIELDS,
) -> Survey:
    """Read all products and choose a kind for each field. `kinds` are the user's choices, name -> kind, and they win.

    texts_only: whether the file's format knows texts only. Then a column whose texts are all plain numbers, or all true
    and false, gets the kind of these values.

    >>> rows = [Product("1", "Nut", {"size": 4, "colour": "red"}), Product("2", "Bolt", {"size": 4.5})]
    >>> survey_fields(rows).fields
    {'size': 'float', 'colour': 'keyword'}
    """
    stats: dict[str, _FieldStats] = {}
    inner_names: dict[str, str] = {}
    chosen = dict(kinds or {})
    count = 0
    named: list[str] = [id_field]
    for product in products:
        count += 1
        if count == 1 and read_field(product.fields, id_field) is not None:
            named = []  # the id stands inside an object, and is no field of its own
        for name, value in product.fields.items():
            known = stats.get(name)
            if known is None:
                known = stats[name] = _FieldStats()
            value = safe_value(value, inner_names) if isinstance(value, list | dict) else value
            _add_value(known, name, value, typed=not texts_only or name in chosen or _is_id(name))
    names = FieldNames([*named, *stats], taken=(TITLE,))
    ranked = sorted(stats, key=lambda name: (name not in chosen, -stats[name].products, name))
    fields: dict[str, str] = {}
    casts: dict[str, str] = {}
    notes: list[str] = []
    for name in ranked[:limit]:
        kind = chosen.get(name) or _choose_kind(stats[name])
        if texts_only and name not in chosen and kind in ("integer", "float", "boolean"):
            casts[name] = kind
        fields.update(_map_field(names.find(name), kind, stats[name], notes))
    notes += [note for name in ranked if name not in chosen and (note := _note_texts(name, stats[name]))]
    return Survey(count, fields, tuple(ranked[limit:]), names, inner_names, casts, tuple(notes))


def _is_id(name: str) -> bool:
    """Say whether a column's name is that of an id.

    >>> [_is_id(name) for name in ("Variant SKU", "productId", "Art. No.", "price", "video")]
    [True, True, True, False, False]
    """
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+", name)
    return bool(words) and _ID_WORD.fullmatch(words[-1].lower()) is not None


def _add_value(stats: _FieldStats, path: str, value: object, *, typed: bool) -> None:
    """Add a value. typed: whether a text is a text; else it may stand for a number."""
    stats.products += 1
    for item in value if isinstance(value, list) else [value]:
        kind = _kind_of(item) if typed or not isinstance(item, str) else _kind_of_text(item)
        if kind is None:
            continue
        stats.kinds.add(kind)
        if kind in _NUMBERS:
            stats.numbers += 1
        if isinstance(item, str):
            stats.longest = max(stats.longest, len(item))
            if kind == "keyword":
                stats.text = stats.text or item
                stats.amounts = stats.amounts and is_amount(item)
        elif isinstance(item, dict):
            _add_object(stats, path, "", item)


def _add_object(top: _FieldStats, path: str, prefix: str, value: Mapping[str, object]) -> None:
    """Add the fields of an object to those of the field `top` that it stands in. prefix: the way from there."""
    for key, item in value.items():
        inner = f"{prefix}{key}"
        known = top.inner.get(inner)
        if known is None:
            known = _FieldStats()
            if len(top.inner) <= _MOST_INNER:
                top.inner[inner] = known
        if "." in key or key != key.strip() or inner.count(".") >= _DEEPEST_INNER:
            known.kinds.add("mixed")  # it cannot be mapped by its name
        for part in item if isinstance(item, list) else [item]:
            kind = _kind_of(part)
            if kind is None:
                continue
            known.kinds.add(kind)
            if isinstance(part, dict):
                _add_object(top, path, f"{inner}.", part)
            elif isinstance(part, list):
                top.too_long |= _has_long_text(part)
            elif isinstance(part, str):
                known.longest = max(known.longest, len(part))
                top.too_long |= len(part) > _SHORT and _term_bytes(path, inner, part) > _LARGEST_TERM
            top.too_long |= len(inner) > _SHORT


def _has_long_text(value: object) -> bool:
    if isinstance(value, list):
        return any(_has_long_text(item) for item in value)
    if isinstance(value, dict):
        return any(_has_long_text(item) for item in value.values())
    return isinstance(value, str) and _term_bytes("", "", value) > _LARGEST_TERM // 2


def _term_bytes(path: str, inner: str, text: str) -> int:
    """Return the length of the term `path.inner=text`, with some bytes to spare."""
    return sum(len(part.encode("utf-8", "replace")) for part in (path, inner, text)) + 16


def _map_field(name: str, kind: str, stats: _FieldStats, notes: list[str]) -> Mapping[str, str]:
    """Return the fields of the mapping for one field of the file: itself, or those of its objects."""
    if kind == "mixed":
        notes.append(f"field '{name}' is kept but cannot be searched or filtered by: {_MIXTURE}")
    if kind != "object" or not stats.too_long:
        return {name: kind}
    inner = {path: part.kinds for path, part in stats.inner.items()}
    if len(inner) <= _MOST_INNER and not any(_is_mixture(kinds) for kinds in inner.values()):
        return {f"{name}.{path}": _choose_kind(stats.inner[path]) for path in inner if inner[path] != {"object"}}
    notes.append(
        f"field '{name}' is kept but cannot be searched or filtered by: it has texts above {_LARGEST_TERM:,} bytes "
        "and too many or too different fields inside"
    )
    return {name: "mixed"}


def _is_mixture(kinds: set[str]) -> bool:
    return "mixed" in kinds or ("object" in kinds and len(kinds) > 1)


def _kind_of(value: object) -> str | None:
    if isinstance(value, str):
        return "date" if _is_date(value) else "keyword"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return "integer"
        return "float" if abs(value) < _LARGEST_FLOAT else "keyword"
    if isinstance(value, float):
        return "float"
    if isinstance(value, dict):
        return "object"
    return "mixed" if isinstance(value, list) else None


def _kind_of_text(text: str) -> str:
    """Return the kind of value that a text of a CSV file stands for: a number that loses nothing by becoming one.

    >>> [_kind_of_text(text) for text in ("9.90", "12", "007", "+1", "1e3", "1234567890123456", "true")]
    ['float', 'integer', 'keyword', 'keyword', 'keyword', 'keyword', 'boolean']
    """
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return "integer"
    if _FRACTION.fullmatch(text) and sum(map(str.isdigit, text)) <= _EXACT_DIGITS:
        return "float"
    if text.lower() in ("true", "false"):
        return "boolean"
    return "date" if _is_date(text) else "keyword"


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


def _note_texts(name: str, stats: _FieldStats) -> str:
    """Say how a field of texts becomes one of numbers, where its values look so. Empty where they do not."""
    if "keyword" not in stats.kinds or not stats.kinds <= {"keyword", *_NUMBERS}:
        return ""
    if stats.text and stats.amounts:
        cure = f"--field '{name}=float' reads them as numbers"
        return f"field '{name}' has amounts such as '{stats.text}' and is text; {cure}"
    if stats.numbers >= _MOSTLY * stats.products:
        return f"field '{name}' has numbers, and texts such as '{stats.text[:40]}', and is text: no range finds it"
    return ""
