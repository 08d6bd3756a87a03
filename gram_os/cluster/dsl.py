"""Bodies for OpenSearch, made by pure functions: values in, dict out.

Knows the names and types of fields on the cluster; never talks to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

# Longer values would be Lucene terms that nobody filters by; the document keeps them all the same.
IGNORE_ABOVE: Final = 512
# What may be added to the mapping later: code fields, and what other writers bring.
FIELD_HEADROOM: Final = 1000
# What a code counts that is in `codes` without a weight: enough to be found, not to be ranked by.
HAND_WRITTEN: Final = 1e-4

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
                "weights": {"type": "rank_features"},
                # One byte a value, read where a pair is explained: doc values, nothing to search.
                "probabilities": {"type": "binary", "doc_values": True},
                "source": {"type": "keyword", "index": False, "doc_values": True},
                "coded_at": {"type": "date"},
            },
        }
    }


def feature_name(code: str) -> str:
    """A code as the name of a feature of `weights`; a dot would be refused there by older versions of OpenSearch.

    >>> feature_name("3.5 mm | jack")
    '3·5 mm | jack'
    """
    return code.replace(".", "\u00b7")


def build_weights(weights: Mapping[str, float]) -> list[dict[str, float]]:
    """Build the value of `weights`: code -> what it weighs in this document, above 0.

    A list of one object, because a partial update merges an object into the one that is there, and codes of an older title
    would stay; a list is replaced. Two codes of one feature name count as the heavier of them.

    >>> build_weights({"toner": 1.0, "3.5 mm": 0.25, "3·5 mm": 0.5})
    [{'toner': 1.0, '3·5 mm': 0.5}]
    """
    features: dict[str, float] = {}
    for code, weight in weights.items():
        name = feature_name(code)
        features[name] = max(round(weight, 5), features.get(name, 0.0))
    return [features]


def read_weights(stored: Iterable[Mapping[str, float]], codes: Iterable[str]) -> dict[str, float]:
    """What some codes weigh in a document, by the value of its `weights`; without those that it has no weight for.

    >>> read_weights([{"toner": 1.0, "3·5 mm": 0.5}], ["3.5 mm", "laptop"])
    {'3.5 mm': 0.5}
    """
    features = {name: float(weight) for part in stored for name, weight in part.items()}
    return {code: features[name] for code in codes if (name := feature_name(code)) in features}


def build_codes_query(codes: str, weights: str, asked: Mapping[str, float]) -> dict[str, Any]:
    """Build the search by code: the sum of what the shared codes weigh in the query times what they weigh in the document.

    codes, weights: the names of the two fields; asked: code -> the query's weight, which already holds the code's idf
    over the whole index, so that scores do not depend on the shard. Whoever adds a code to `codes` by hand need not know of
    weights: the last clause finds it all the same, behind all that have one, and adds the same `HAND_WRITTEN` to every hit
    that it matches, which is less than the weights are exact to.

    >>> build_codes_query("gram_v1.codes", "gram_v1.weights", {"toner": 2.5})["bool"]["should"]
    [{'rank_feature': {'field': 'gram_v1.weights.toner', 'linear': {}, 'boost': 2.5}}, \
{'terms': {'gram_v1.codes': ['toner'], 'boost': 0.0001}}]
    """
    clauses: list[dict[str, Any]] = [
        {
            "rank_feature": {
                "field": f"{weights}.{feature_name(code)}",
                "linear": {},
                "boost": round(weight, 5),
            }
        }
        for code, weight in asked.items()
    ]
    clauses.append({"terms": {codes: list(asked), "boost": HAND_WRITTEN}})
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def build_text_query(field: str, text: str) -> dict[str, Any]:
    """Build the lexical branch: BM25 on the title."""
    return {"match": {field: {"query": text}}}


def build_search(
    query: Mapping[str, Any],
    size: int,
    *,
    filters: Sequence[Mapping[str, Any]] = (),
    fields: Sequence[str] = (),
    source: Sequence[str] | bool = False,
) -> dict[str, Any]:
    """Build a search for the best `size` documents, equal scores in the index's order; filters do not score.

    fields: what comes back as lists under `fields`, beside the `source`.
    """
    body = {"bool": {"must": [query], "filter": list(filters)}} if filters else dict(query)
    return {
        "query": body,
        "size": size,
        "_source": source,
        "fields": list(fields),
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
