"""Names of fields that OpenSearch takes, and the names in files that it does not take.

OpenSearch reads a dot as a path, keeps names with a leading underscore for itself, and refuses empty names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

UNNAMED: Final = "unnamed"
_LEADING: Final = re.compile(r"^[_\s]+")
_DEEPEST: Final = 10  # parts of a dotted name; an index takes 20 levels of objects


def safe_name(name: str) -> str:
    """Return the nearest name that OpenSearch takes. A name that it takes stays.

    >>> [safe_name(name) for name in ("colour", "size.eu", "_id", " lead", "a..b", "Art. No.", "...", "")]
    ['colour', 'size.eu', 'id', 'lead', 'a_b', 'Art_No', 'unnamed', 'unnamed']
    """
    bare = _LEADING.sub("", name).strip()
    parts = [part.strip() for part in bare.split(".")]
    if ".".join(parts) != bare or not all(parts) or len(parts) > _DEEPEST:
        bare = "_".join(part for part in parts if part)
        bare = _LEADING.sub("", bare)
    return bare or UNNAMED


class FieldNames:
    """The names of a catalogue's fields, each with the name that the index gets for it.

    A name that is a path into another field (`brand.name` beside `brand`) becomes one word, since an index cannot have
    both. Names that would become the same get a number.

    >>> names = FieldNames(["brand", "brand.name", "_id", "id"])
    >>> names.changed
    {'brand.name': 'brand_name', '_id': 'id_2'}
    """

    def __init__(self, names: Iterable[str] = (), *, taken: Iterable[str] = ()) -> None:
        """Find safe names. taken: names that the index needs for something else."""
        self._safe: dict[str, str] = {}
        self._taken = set(taken)
        self._parents: set[str] = {parent for name in self._taken for parent in _parents(name)}
        wanted = list(names)
        # Names that can stay come first, and short ones before paths into them.
        for name in sorted(wanted, key=lambda name: (safe_name(name) != name, name.count("."))):
            self.find(name)
        self._safe = {name: self._safe[name] for name in wanted}

    @property
    def changed(self) -> Mapping[str, str]:
        """The names that could not stay -> those of the index."""
        return {name: safe for name, safe in self._safe.items() if safe != name}

    def find(self, name: str) -> str:
        """Return the index's name for a field. A new name is settled here, and keeps what it got."""
        known = self._safe.get(name)
        if known is None:
            known = self._safe[name] = self._settle(safe_name(name))
        return known

    def _settle(self, name: str) -> str:
        if any(parent in self._taken for parent in _parents(name)):
            name = name.replace(".", "_")
        free, number = name, 2
        while free in self._taken or free in self._parents:
            free, number = f"{name}_{number}", number + 1
        self._taken.add(free)
        self._parents.update(_parents(free))
        return free


def _parents(name: str) -> list[str]:
    """Return the paths above a dotted name.

    >>> _parents("a.b.c")
    ['a', 'a.b']
    """
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def safe_value(value: object, changed: dict[str, str] | None = None) -> object:
    """Return a value with the names inside its objects made safe. They are noted in `changed`, name -> safe name.

    >>> safe_value({"a..b": 1, "c": [{"": 2}]})
    {'a_b': 1, 'c': [{'unnamed': 2}]}
    """
    if isinstance(value, list):
        return [safe_value(item, changed) for item in value]
    if not isinstance(value, dict):
        return value
    safe: dict[str, object] = {}
    for name, item in value.items():
        free = _safe_inner(name)
        while free != name and (free in value or free in safe):
            free += "_2"
        if free != name and changed is not None:
            changed[name] = free
        safe[free] = safe_value(item, changed)
    return safe


def _safe_inner(name: str) -> str:
    """Return a safe name inside an object, where a leading underscore and outer spaces are allowed."""
    if name.strip() and all(part.strip() for part in name.split(".")):
        return name
    return "_".join(part.strip() for part in name.split(".") if part.strip()) or UNNAMED
