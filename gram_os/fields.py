"""Fields of a document by their names in the mapping. Knows JSON values, and nothing of OpenSearch or of products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def read_field(source: Mapping[str, Any], path: str) -> Any:
    """Read a field by its name in a mapping, however the writer nested it. None when it is missing.

    A path through a list of objects gives the list of what they hold.

    >>> read_field({"name": {"en": "Lamp"}}, "name.en"), read_field({"name.en": "Lamp"}, "name.en")
    ('Lamp', 'Lamp')
    >>> read_field({"variants": [{"colour": "red"}, {"size": 4}, {"colour": ["blue", "green"]}]}, "variants.colour")
    ['red', 'blue', 'green']
    """
    if "." not in path:
        return source.get(path)  # a product may have a thousand such fields
    found = list(_find(source, path))
    if len(found) <= 1:
        return found[0] if found else None
    return [item for value in found for item in (value if isinstance(value, list) else [value])]


def _find(source: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield every value under a path that is not null: the writer may have written the dots, or nested, or both."""
    if source.get(path) is not None:
        yield source[path]
    for at, character in enumerate(path):
        if character == ".":
            for inner in _objects(source.get(path[:at])):
                yield from _find(inner, path[at + 1 :])


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield an object, or the objects of a list."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)
