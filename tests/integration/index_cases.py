"""Random indices as people might have them, and what can be found, sorted and counted in them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from gram_os.cluster.client import Cluster

TEXT, WORD = {"type": "text"}, {"type": "keyword"}
WORDS = ("red", "HP laptop", "toner", "größe 1,5", "ab\n cd", "日本", "-", "5600")

# Field -> its mapping, and its values as JSON is written: a parser would write some of these otherwise.
FIELDS: Mapping[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "brand": (WORD, ('"HP"', '["HP", "Xerox"]', '"größe"', "1.10", "2E3")),
    "text": (TEXT, ('"red mouse pad"', '["one", "two words"]', '""', "null")),
    "popularity": ({"type": "long"}, ("3", "-7", '"12"', "[1,2 , 2]")),
    "price": ({"type": "double"}, ("19.90", "100000000.0", "1e-3", '"9.5"')),
    "flag": ({"type": "boolean"}, ("true", '"false"')),
    "since": ({"type": "date"}, ('"2026-11-26"', "1764115200000")),
    "specs": (
        {"properties": {"colour": WORD, "weight": {"type": "float"}}},
        ('{"colour": "red"}', '{"weight":0.10, "colour":["a","b"]}'),
    ),
    "offers": (
        {"type": "nested", "properties": {"seller": WORD, "cost": {"type": "long"}}},
        ('[{"seller": "x", "cost": 5}, {"seller":"y","cost":1}]', '{"seller":"x"}'),
    ),
    "bag": ({"type": "flat_object"}, ('{"a": {"b": "red"}}', '{"a": "red", "c": ["x"]}')),
    "place": ({"type": "geo_point"}, ('{"lat": 52.5200, "lon": 13.4050}', "[13.0, 52.0]")),
    "code": ({**WORD, "copy_to": "all"}, ('"A1"', '["A1", "B2"]')),
    "all": (TEXT, ()),
    "hidden": ({"type": "object", "enabled": False}, ('{"x": 1.50}', '"anything"')),
    "blob": ({"type": "binary"}, ('"aGVsbG8="',)),
    "vector_1": ({"type": "integer"}, ("7", "8")),
    "new": ({}, ('"found by itself"', '"red"')),  # no mapping: dynamic
}  # fmt: skip
TITLES: Mapping[str, tuple[dict[str, Any], str]] = {
    "title": ({"title": TEXT}, '"title": {}'),
    "name": ({"name": {**WORD, "fields": {"analyzed": TEXT}}}, '"name": {}'),
    "i18n.en": ({"i18n": {"properties": {"en": TEXT}}}, '"i18n": {{"en": {}}}'),
}
PATTERNS = (
    "popularity",
    "vec*",
    "specs",
    "specs.weight",
    "offers.*",
    "bag.a",
    "all",
    "nothing*",
    "blob",
    "gram_*",
    "*e",
)
ROUTES = ("a", "b", "shop 3", "ü")


@dataclass(frozen=True)
class Row:
    """One document: its id, routing, version and JSON, and whether it is a product with a title."""

    id: str
    routing: str | None
    version: int
    text: str
    is_product: bool
    has_title: bool


@dataclass(frozen=True)
class IndexCase:
    """An index: settings and mapping, how its writer numbers and routes, its documents."""

    title: str
    mapping: dict[str, Any]
    shards: int
    numbered: bool
    through_alias: bool
    has_join: bool
    rows: Sequence[Row]
    kinds: frozenset[str] = field(default_factory=frozenset)


@st.composite
def index_cases(draw: st.DrawFn) -> IndexCase:
    """Draw an index. `kinds` names what of A1 (source filters), A2 (numbers), A3 (routing) it has."""
    title = draw(st.sampled_from(list(TITLES)))
    names = draw(st.lists(st.sampled_from(list(FIELDS)), unique=True, max_size=7))
    numbered, has_join = draw(st.booleans()), draw(st.integers(0, 4)) == 0
    routing = draw(st.sampled_from(["none", "some", "required"])) if not has_join else "required"
    properties = {**TITLES[title][0], **{name: FIELDS[name][0] for name in names if FIELDS[name][0]}}
    if "code" in names:
        properties["all"] = TEXT
    if has_join:
        properties["kind"] = {"type": "join", "relations": {"product": "offer"}}
    mapping: dict[str, Any] = {"dynamic": draw(st.sampled_from(["true", "false"])), "properties": properties}
    if routing == "required":
        mapping["_routing"] = {"required": True}
    source = draw(st.sampled_from(["open", "excludes", "excludes", "includes"]))
    if source == "excludes":
        mapping["_source"] = {"excludes": draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2))}
    elif source == "includes":
        kept = draw(st.lists(st.sampled_from([*names, "specs.*"]), unique=True))
        mapping["_source"] = {"includes": [title.split(".")[0], "kind", "gram_*", *kept]}
    rows = [draw(_rows(n, title, names, routing, numbered, has_join)) for n in range(draw(st.integers(1, 12)))]
    kinds = {f"A1 {source}"} - {"A1 open"} | ({"A2 external versions"} if numbered else set())
    kinds |= {f"A3 routing {routing}"} - {"A3 routing none"} | ({"join"} if has_join else set())
    kinds |= {"nested"} & {"nested" if "offers" in names else ""}
    alias = draw(st.booleans())
    shards = draw(st.integers(1, 3))
    return IndexCase(
        title, mapping, shards, numbered, alias, has_join, rows, frozenset(kinds | ({"alias"} if alias else set()))
    )


@st.composite
def _rows(
    draw: st.DrawFn, number: int, title: str, names: Sequence[str], routing: str, numbered: bool, has_join: bool
) -> Row:
    written = [name for name in names if len(FIELDS[name][1]) > 0 and draw(st.booleans())]
    parts = [f'"{name}" : {draw(st.sampled_from(FIELDS[name][1]))}' for name in written]
    is_product = not has_join or draw(st.booleans())
    has_title = is_product and draw(st.integers(0, 5)) > 0
    if has_title:
        words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
        value = json.dumps(words if draw(st.booleans()) else " ".join(words), ensure_ascii=draw(st.booleans()))
        parts.insert(draw(st.integers(0, len(parts))), TITLES[title][1].format(value))
    route = (
        draw(st.sampled_from(ROUTES)) if routing == "required" or (routing == "some" and draw(st.booleans())) else None
    )
    if has_join:
        kind = '"product"' if is_product else '{"name": "offer", "parent": "0"}'
        parts.append(f'"kind": {kind}')
    version = draw(st.integers(1, 2**40)) if numbered else 1
    return Row(f"d{number}", route, version, "{ " + " ,".join(parts) + "}", is_product, has_title)


@contextmanager
def make_case(cluster: Cluster, case: IndexCase) -> Iterator[tuple[str, list[Row]]]:
    """Create the index and write its documents. Yields its name and the rows that the cluster took."""
    index = f"test-{uuid.uuid4().hex}"
    settings = {"number_of_shards": case.shards, "number_of_replicas": 0, "refresh_interval": -1}
    cluster.create_index(index, {"settings": settings, "mappings": case.mapping})
    try:
        actions = [_write(index, row, case.numbered) for row in case.rows]
        taken = [row for row, item in zip(case.rows, cluster.bulk(actions), strict=True) if item.ok]
        cluster.refresh(index)
        if case.through_alias:
            cluster._client.indices.put_alias(index=index, name=f"{index}-alias")
        yield index, taken
    finally:
        cluster.delete_index(index)


def _write(index: str, row: Row, numbered: bool) -> dict[str, Any]:
    route = {"routing": row.routing} if row.routing is not None else {}
    number = {"version": row.version, "version_type": "external"} if numbered else {}
    return {"op": "index", "index": index, "id": row.id, "body": row.text, **route, **number}


def write_again(cluster: Cluster, index: str, row: Row) -> bool:
    """Let the writer write the next version under its own number."""
    again = Row(row.id, row.routing, row.version + 1, row.text, row.is_product, row.has_title)
    return all(item.ok for item in cluster.bulk([_write(index, again, True)]))


_AGGREGATED = ("keyword", "long", "integer", "double", "float", "boolean", "date")


def describe_index(cluster: Cluster, index: str) -> dict[str, Any]:
    """Return what can be found, sorted and counted by each field, outside those of codes."""
    bodies: dict[str, dict[str, Any]] = {"all": {"query": {"match_all": {}}}}
    for path, kind, nested in _leaves(cluster.get_mapping(index)["properties"]):
        query: dict[str, Any] = {"exists": {"field": path}}
        bodies[f"exists {path}"] = {"query": query if nested is None else {"nested": {"path": nested, "query": query}}}
        if kind == "text":
            for word in ("red", "two", "a1", "laptop"):
                bodies[f"{word} in {path}"] = {"query": {"match": {path: word}}}
        if kind == "flat_object":
            bodies[f"term {path}"] = {"query": {"term": {f"{path}.a.b": "red"}}}
        if kind in _AGGREGATED and nested is None:
            bodies[f"values {path}"] = {"aggs": {"v": {"terms": {"field": path, "size": 50}}}, "size": 0}
            bodies[f"sorted {path}"] = {"sort": [{path: {"order": "asc"}}, {"_id": "asc"}], "docvalue_fields": [path]}
        elif kind in _AGGREGATED:
            inner = {"v": {"terms": {"field": path}}}
            bodies[f"values {path}"] = {"aggs": {"n": {"nested": {"path": nested}, "aggs": inner}}, "size": 0}
    size = {"size": 50, "_source": False}
    answers = cluster.msearch(index, [{**size, **body} for body in bodies.values()])
    return {name: _outcome(answer) for name, answer in zip(bodies, answers, strict=True)}


def _outcome(answer: Mapping[str, Any]) -> Any:
    hits = [(hit["_id"], hit.get("_routing"), hit.get("fields")) for hit in answer["hits"]["hits"]]
    is_sorted = any("sort" in hit for hit in answer["hits"]["hits"])
    ordered = hits if is_sorted else sorted(hits, key=str)
    return ordered, answer.get("aggregations")  # not the total: Lucene counts an empty text by its segments


def _leaves(
    properties: Mapping[str, Any], prefix: str = "", nested: str | None = None
) -> Iterator[tuple[str, str, str | None]]:
    for name, body in properties.items():
        path, kind = f"{prefix}{name}", body.get("type", "object")
        if path.startswith("gram_"):
            continue
        if "properties" in body:
            yield from _leaves(body["properties"], f"{path}.", path if kind == "nested" else nested)
        elif kind != "object":
            yield path, kind, nested
        for part, inner in body.get("fields", {}).items():
            yield f"{path}.{part}", inner["type"], nested
