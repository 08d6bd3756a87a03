"""What stands in a mapping: the fields under their full names, what the index keeps of them, how many they are.

Pure: a mapping as `GET /INDEX` returns it in, values out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Types of fields that BM25 searches.
TEXT_TYPES: Final = ("text", "match_only_text", "search_as_you_type")
# Fields of these types have no doc values by default.
_WITHOUT_DOC_VALUES: Final = ("text", "match_only_text", "binary", "search_as_you_type")
# Further fields that the cluster makes for one in the mapping, and counts.
_HIDDEN_FIELDS: Final = {"search_as_you_type": 3, "join": 2}


@dataclass(frozen=True, slots=True)
class MappedField:
    """A field of a mapping.

    path: its full name. body: its part of the mapping. nested: the nested object that it belongs to, None for a field
    of the document itself. parent: the field whose values it indexes once more (a multi-field), else None.
    """

    path: str
    body: Mapping[str, Any]
    nested: str | None = None
    parent: str | None = None

    @property
    def type(self) -> str:
        """The type; an object without a type is an `object`."""
        return str(self.body.get("type", "object"))

    @property
    def is_object(self) -> bool:
        """True for what only holds other fields."""
        return self.type in ("object", "nested")

    @property
    def is_text(self) -> bool:
        """True when BM25 can search it."""
        return self.type in TEXT_TYPES and is_on(self.body.get("index", True))

    @property
    def outlives_source(self) -> bool:
        """True when the index keeps something of its values outside `_source`: terms, doc values, stored values."""
        if self.is_object or self.type == "alias":
            return False
        has_terms = is_on(self.body.get("index", True)) and self.type != "binary"
        has_doc_values = is_on(self.body.get("doc_values", self.type not in _WITHOUT_DOC_VALUES))
        return has_terms or has_doc_values or is_on(self.body.get("store", False)) or "fields" in self.body


def is_on(value: object) -> bool:
    """Read a flag of a mapping or setting, which may be a text."""
    return value is True or str(value).lower() == "true"


def walk_fields(mapping: Mapping[str, Any]) -> Iterator[MappedField]:
    """Yield all fields, objects and multi-fields too. A parent comes before what it holds."""
    yield from _walk(mapping.get("properties", {}), "", None)


def _walk(properties: Mapping[str, Any], prefix: str, nested: str | None) -> Iterator[MappedField]:
    for name, body in properties.items():
        path = f"{prefix}{name}"
        field = MappedField(path, body, nested)
        yield field
        for part, inner in body.get("fields", {}).items():
            yield MappedField(f"{path}.{part}", inner, nested, parent=path)
        yield from _walk(body.get("properties", {}), f"{path}.", path if field.type == "nested" else nested)


def find_title(mapping: Mapping[str, Any], title_field: str) -> tuple[str, str] | None:
    """Return the field that holds the titles in `_source`, and the text field that BM25 searches.

    They differ when the title is a `keyword` with a text below it, whichever of the two the user names. None when there
    is no such field.

    >>> keyword = {"type": "keyword", "fields": {"analyzed": {"type": "text"}}}
    >>> find_title({"properties": {"name": keyword}}, "name")
    ('name', 'name.analyzed')
    """
    fields = {field.path: field for field in walk_fields(mapping)}
    field = fields.get(title_field)
    if field is None:
        return None
    held = field.parent or field.path
    if field.is_text:
        return held, field.path
    below = [path for path, other in fields.items() if other.parent == held and other.is_text]
    return (held, below[0]) if below else None


def find_copies(mapping: Mapping[str, Any], target: str) -> list[str]:
    """Return the fields that are copied into `target` (`copy_to`)."""
    found = []
    for field in walk_fields(mapping):
        targets = field.body.get("copy_to", [])
        if target in ([targets] if isinstance(targets, str) else targets):
            found.append(field.path)
    return found


def count_fields(mapping: Mapping[str, Any]) -> int:
    """Return about how many fields the cluster counts against `index.mapping.total_fields.limit`."""
    return sum(1 + _HIDDEN_FIELDS.get(field.type, 0) for field in walk_fields(mapping))
