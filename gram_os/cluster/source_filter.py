"""What `_source` holds of a document: the filter of a mapping, and what a write from `_source` would lose.

Whoever writes a document back can write no more than its `_source`. Fields that the filter leaves out would be gone
from the index too. A filtered `_source` is also written anew by the cluster, and a number in it may look different:
1.10 becomes 1.1, where the index has the term "1.10". Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gram_os.cluster.mapping import MappedField, is_on, walk_fields

# Types whose values may be objects: a pattern can reach below the field's own name.
_HOLDERS = ("flat_object", "geo_point", "geo_shape", "join", "completion", "percolator")
# Types that index a number's value, however it is written.
_NUMBERS = (
    *("byte", "short", "integer", "long", "unsigned_long", "half_float", "float", "double", "scaled_float"),
    *("date", "date_nanos", "geo_point", "geo_shape", "rank_feature", "rank_features", "knn_vector", "boolean"),
)


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """The `_source` part of a mapping.

    enabled: False when no document has a `_source`. includes, excludes: patterns with `*`; a pattern that names an
    object names all of its fields. Without `includes` everything is included.
    """

    enabled: bool
    includes: tuple[str, ...]
    excludes: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """True when `_source` holds everything."""
        return self.enabled and not self.includes and not self.excludes

    def holds(self, path: str) -> bool:
        """Say whether `_source` holds a field."""
        paths = list(_with_ancestors(path))
        if not self.enabled or any(_matches(pattern, p) for pattern in self.excludes for p in paths):
            return False
        return not self.includes or any(_matches(pattern, p) for pattern in self.includes for p in paths)

    def holds_all_below(self, path: str) -> bool:
        """Say whether `_source` is sure to hold everything that a field's value holds, whatever it is."""
        return self.holds(path) and not any(_reaches(pattern, f"{path}.") for pattern in self.excludes)


def read_source_filter(mapping: Mapping[str, Any]) -> SourceFilter:
    """Read the filter out of a mapping."""
    body = mapping.get("_source", {})
    return SourceFilter(
        is_on(body.get("enabled", True)), tuple(body.get("includes", ())), tuple(body.get("excludes", ()))
    )


def find_lost_fields(mapping: Mapping[str, Any]) -> list[str]:
    """Return the fields that a write from `_source` would take out of the index, in the mapping's order.

    >>> mapping = {"_source": {"excludes": ["vec*"]}, "properties": {"vector": {"type": "long"}, "t": {"type": "text"}}}
    >>> find_lost_fields(mapping)
    ['vector']
    """
    source = read_source_filter(mapping)
    return [] if source.is_open else [field.path for field in walk_fields(mapping) if _is_lost(field, source)]


def find_wordy_fields(mapping: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields that index a number by how it is written, when `_source` is filtered. Else none.

    >>> mapping = {"properties": {"size": {"type": "keyword"}, "price": {"type": "double"}}}
    >>> sorted(find_wordy_fields({**mapping, "_source": {"excludes": ["vec*"]}})), find_wordy_fields(mapping)
    (['size'], frozenset())
    """
    if read_source_filter(mapping).is_open:
        return frozenset()
    fields = [field for field in walk_fields(mapping) if not field.is_object]
    return frozenset(
        field.parent or field.path for field in fields if field.type not in _NUMBERS or "copy_to" in field.body
    )


def find_number(source: object, fields: Collection[str], path: str = "") -> str | None:
    """Return the first of some fields in which a document has a number with a fraction or an exponent."""
    if isinstance(source, Mapping):
        names = ((f"{path}.{name}".lstrip("."), value) for name, value in source.items())
        return next((found for name, value in names if (found := find_number(value, fields, name))), None)
    if isinstance(source, list):
        return next((found for value in source if (found := find_number(value, fields, path))), None)
    is_wordy = isinstance(source, float) and any(part in fields for part in _with_ancestors(path))
    return path if is_wordy else None


def _is_lost(field: MappedField, source: SourceFilter) -> bool:
    if not field.outlives_source or field.parent is not None:
        return False
    return not (source.holds_all_below(field.path) if field.type in _HOLDERS else source.holds(field.path))


def _with_ancestors(path: str) -> Iterator[str]:
    """Yield a path and those of the objects that it stands in."""
    parts = path.split(".")
    return (".".join(parts[:size]) for size in range(1, len(parts) + 1))


def _matches(pattern: str, path: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path) is not None


def _reaches(pattern: str, prefix: str) -> bool:
    """Say whether a pattern matches some text that begins with `prefix`."""
    places = {0}  # how much of the pattern may have been read
    for character in prefix:
        places = _behind_stars(pattern, places)
        places = {
            place if pattern[place] == "*" else place + 1
            for place in places
            if place < len(pattern) and pattern[place] in ("*", character)
        }
    return bool(places)


def _behind_stars(pattern: str, places: set[int]) -> set[int]:
    """Add the places that are reached when stars stand for nothing."""
    reached: Sequence[int] = list(places)
    while reached := [place + 1 for place in reached if pattern[place : place + 1] == "*"]:
        places = places | set(reached)
    return places
