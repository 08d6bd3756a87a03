"""Bodies for OpenSearch, made by pure functions: values in, dict out.

Knows the names and types of fields on the cluster; never talks to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def code_field(label: str) -> str:
    """Name of the object field that holds a label's codes."""
    return f"gram_{label}"


def build_code_mapping(label: str) -> dict[str, Any]:
    """Build the mapping of a label's fields; see product.md, "On the cluster"."""
    return {
        code_field(label): {
            "dynamic": "strict",
            "properties": {
                "codes": {"type": "keyword"},
                # One byte a value, read for the hits that are scored: doc values, nothing to search.
                "probabilities": {"type": "binary", "doc_values": True},
                "source": {"type": "keyword", "index": False, "doc_values": True},
                "coded_at": {"type": "date"},
            },
        }
    }


def build_codes_query(field: str, weights: Mapping[str, float]) -> dict[str, Any]:
    """Build the first stage: any of the codes, ordered by the sum of the matching codes' weights.

    The weights already hold each code's idf over the whole index, so scores do not depend on the shard, and a coarse
    code cannot fill the window ahead of a finer match.

    >>> build_codes_query("gram_v1.codes", {"toner": 2.5})["bool"]["should"]
    [{'constant_score': {'filter': {'term': {'gram_v1.codes': 'toner'}}, 'boost': 2.5}}]
    """
    clauses = [
        {"constant_score": {"filter": {"term": {field: code}}, "boost": round(weight, 5)}}
        for code, weight in weights.items()
    ]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def build_text_query(field: str, text: str) -> dict[str, Any]:
    """Build the lexical branch: BM25 on the title."""
    return {"match": {field: {"query": text}}}


def build_search(
    query: Mapping[str, Any],
    size: int,
    *,
    filters: Sequence[Mapping[str, Any]] = (),
    docvalues: Sequence[str] = (),
    source: Sequence[str] | bool = False,
) -> dict[str, Any]:
    """Build a search for the best `size` documents, equal scores in the index's order; filters do not score."""
    body = {"bool": {"must": [query], "filter": list(filters)}} if filters else dict(query)
    return {
        "query": body,
        "size": size,
        "_source": source,
        "docvalue_fields": list(docvalues),
        "track_total_hits": False,
    }


def build_count(query: Mapping[str, Any]) -> dict[str, Any]:
    """Build a search that only counts."""
    return {"query": dict(query), "size": 0, "track_total_hits": True}


def read_field(source: Mapping[str, Any], path: str) -> Any:
    """Read a field of a document by its name in the mapping, however the writer nested it; None when it is not there.

    >>> read_field({"name": {"en": "Lamp"}}, "name.en"), read_field({"name.en": "Lamp"}, "name.en")
    ('Lamp', 'Lamp')
    """
    if path in source:
        return source[path]
    for at, character in enumerate(path):
        inner = source.get(path[:at]) if character == "." else None
        if isinstance(inner, Mapping) and (found := read_field(inner, path[at + 1 :])) is not None:
            return found
    return None
