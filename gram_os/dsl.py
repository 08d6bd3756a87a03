"""Bodies for OpenSearch, made by pure functions: values in, dict out.

Knows the names and types of fields on the cluster; never talks to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Longer values would be Lucene terms that nobody filters by; the document keeps them all the same.
IGNORE_ABOVE: Final = 512
# What may be added to the mapping later: code fields, and what other writers bring.
FIELD_HEADROOM: Final = 1000

_KEYWORD: Final[Mapping[str, Any]] = {"type": "keyword", "ignore_above": IGNORE_ABOVE}
_ENGLISH: Final[Mapping[str, Any]] = {"type": "text", "analyzer": "english"}

FIELD_KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "keyword": _KEYWORD,
    "prose": {**_KEYWORD, "fields": {"text": _ENGLISH}},
    "text": _ENGLISH,
    "integer": {"type": "long"},
    "float": {"type": "double"},
    "boolean": {"type": "boolean"},
    "date": {"type": "date"},
    "object": {"type": "flat_object"},
    "mixed": {"type": "object", "enabled": False},  # objects here, plain values there: kept, not searchable
}


def build_index_body(fields: Mapping[str, str], *, dynamic: bool = True) -> dict[str, Any]:
    """Build settings and mapping for a catalogue whose other fields are `fields`: name -> one of `FIELD_KINDS`.

    A shop filters and counts by attributes, so each attribute is a field of its own type, and a text a `keyword` under its
    own name (`.text` beside it where it is prose). `flat_object` would make one field of thousands, but without numeric
    ranges and `terms` aggregations, which is what the attributes are there for. Naming all fields at once is what makes
    thousands affordable: left to dynamic mapping, each new one is a round through the cluster state, and the sample
    catalogue with its 5,361 takes 332 s instead of 5 s (docs/log.md).

    >>> body = build_index_body({"colour": "keyword"})
    >>> body["mappings"]["properties"]["title"]["analyzer"], body["mappings"]["properties"]["colour"]["type"]
    ('english', 'keyword')
    """
    title = {**_ENGLISH, "fields": {"raw": _KEYWORD}}
    properties = {name: dict(FIELD_KINDS[kind]) for name, kind in fields.items()}
    return {
        "settings": {
            "index": {
                "auto_expand_replicas": "0-1",
                "mapping": {"total_fields": {"limit": 2 * len(properties) + FIELD_HEADROOM}},
            }
        },
        "mappings": {
            "dynamic": dynamic,
            "date_detection": False,  # the first value alone would decide, and the next that is no date be refused
            "dynamic_templates": [
                {"text": {"match_mapping_type": "string", "mapping": dict(FIELD_KINDS["prose"])}},
                # An integer first and 12.5 later: `long` would cut it to 12 without a word.
                {"number": {"match_mapping_type": "long", "mapping": dict(FIELD_KINDS["float"])}},
            ],
            "properties": {**properties, "title": title},
        },
    }
