"""People's indices through the real verbs: what attach refuses, and what backfill does to the rest.

`tests/integration/test_index_kinds.py` holds the same kinds in detail, and `test_index_property.py` draws random ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.field_case import Case
from gram_os.cluster.client import Cluster
from tests.command import Done
from tests.command import run as run_verb

_TEXT, _WORD, _NUMBER = {"type": "text"}, {"type": "keyword"}, {"type": "long"}
_DOCUMENTS = [{"title": f"Xerox black toner cartridge {n}", "popularity": n} for n in range(60)]


@dataclass(frozen=True, slots=True)
class Made:
    """A case's index while it runs. writes: keys of each action, such as a routing."""

    cluster: Cluster
    index: str

    def attach(self, *options: str) -> Done:
        """Attach through the verb."""
        return run_verb("attach", "--index", self.index, *options)

    def code(self, *options: str) -> Done:
        """Attach and backfill through the verbs."""
        done = self.attach(*options)
        return done if done.code else run_verb("backfill", "--index", self.index, "--json")

    def write(self, documents: Sequence[Mapping[str, Any]], **keys: Any) -> list[str | None]:
        """Write documents, and return the cluster's errors."""
        actions = [
            {"op": "index", "index": self.index, "id": str(n), "body": d, **keys} for n, d in enumerate(documents)
        ]
        errors = [item.error for item in self.cluster.bulk(actions)]
        self.cluster.refresh(self.index)
        return errors

    def coded(self) -> int:
        """The number of documents with codes."""
        return self.cluster.count(self.index, {"exists": {"field": "gram_v1.source"}})


@dataclass(frozen=True, slots=True)
class IndexCase:
    """An index and what must become of it. act: returns what went wrong, empty when all is right."""

    name: str
    expected: str
    act: Callable[[Made], str]
    mapping: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def _refused(*words: str, options: Sequence[str] = (), field: str = "title") -> Callable[[Made], str]:
    """Attach must refuse with exit code 2 and all these words, and leave the mapping alone."""

    def act(made: Made) -> str:
        made.write([{field: "HP laptop"}])
        done = made.attach(*options)
        missing = [word for word in words if word not in done.err]
        touched = "gram_v1" in str([facts.mapping for facts in made.cluster.get_indices(made.index)])
        return "" if done.code == 2 and not missing and not touched else f"exit {done.code}: {done.out} {done.err}"

    return act


def _works(documents: Sequence[Mapping[str, Any]] = _DOCUMENTS, *options: str, **keys: Any) -> Callable[[Made], str]:
    """All documents get codes, and a second run writes nothing."""

    def act(made: Made) -> str:
        made.write(documents, **keys)
        count = made.cluster.count(made.index)
        first, again = made.code(*options), made.code(*options)
        if (first.code, again.code) != (0, 0):
            return f"exit {first.code}, {again.code}: {first.err} {again.err}"
        found = (first.json()["coded"], again.json()["coded"], again.json()["unchanged"], made.coded())
        return "" if found == (count, 0, count, count) else f"coded, coded again, unchanged, with codes: {found}"

    return act


def _keeps_numbers(made: Made) -> str:
    """A writer with external versions goes on after a backfill, and its next delete too."""
    numbers = {"version": 41, "version_type": "external"}
    made.write(_DOCUMENTS[:2], **numbers)
    done = made.code()
    errors = made.write(_DOCUMENTS[:2], **numbers | {"version": 42})
    deleted = {"op": "delete", "index": made.index, "id": "0", "version": 43, "version_type": "external"}
    errors += [item.error for item in made.cluster.bulk([deleted])]
    return "" if done.code == 0 and errors == [None] * 3 else f"exit {done.code}, {errors}"


def _says_that_codes_went(made: Made) -> str:
    """A nightly reload says how many products have no codes, and what to run."""
    made.write([{"title": "HP laptop"}])
    made.code()
    folder = Path(__file__).parents[1] / ".work"
    folder.mkdir(exist_ok=True)
    file = folder / f"{made.index}.jsonl"
    file.write_text('{"id": "0", "title": "HP laptop"}\n', encoding="utf-8")
    done = run_verb("load", str(file), "--index", made.index)
    file.unlink()
    return "" if f"gram-os backfill --index {made.index}" in done.out else done.out + done.err


def _copies(made: Made) -> str:
    """A copy into an index that was attached first keeps its codes."""
    made.write(_DOCUMENTS)
    made.code()
    copy = Made(made.cluster, f"{made.index}-copy")
    made.cluster.create_index(copy.index, {"mappings": {"properties": {"title": _TEXT}}})
    try:
        attached = copy.attach()
        body = {"source": {"index": made.index}, "dest": {"index": copy.index}}
        failures = made.cluster._client.reindex(body=body, params={"refresh": "true"})["failures"]
        again = run_verb("backfill", "--index", copy.index, "--json").json()
        right = attached.code == 0 and not failures and (again["coded"], again["unchanged"]) == (0, len(_DOCUMENTS))
        return "" if right else f"{len(failures)} failures, {again}"
    finally:
        made.cluster.delete_index(copy.index)


def _codes_products_of_a_join(made: Made) -> str:
    """With a query that says what a product is, offers are left alone and the exit code is 0."""
    made.write([{"title": "HP laptop", "kind": "product"}], routing="a")
    offer = {"price": 3, "kind": {"name": "offer", "parent": "0"}}
    list(made.cluster.bulk([{"op": "index", "index": made.index, "id": "o", "routing": "a", "body": offer}]))
    without = made.code()
    with_query = made.code("--query", '{"term": {"kind": "product"}}')
    right = (without.code, with_query.code) == (3, 0) and with_query.json()["unchanged"] == 1
    return "" if right else f"exit {without.code}, {with_query.code}: {with_query.out}"


def _serves_an_alias(made: Made) -> str:
    """An alias of two indices is refused by attach, and searched once each is attached."""
    other = Made(made.cluster, f"{made.index}-two")
    alias = Made(made.cluster, f"{made.index}-alias")
    made.cluster.create_index(other.index, {"mappings": {"properties": {"title": _TEXT}}})
    try:
        for each in (made, other):
            each.write(_DOCUMENTS[:3])
            made.cluster._client.indices.put_alias(index=each.index, name=alias.index)
        refused = alias.attach()
        codes = [made.code().code, other.code().code]
        hits = run_verb("search", "toner", "--index", alias.index, "--mode", "gram", "--json").json()["hits"]
        right = refused.code == 2 and "attach each of them" in refused.err and codes == [0, 0] and len(hits) == 6
        return "" if right else f"exit {refused.code}, {codes}, {len(hits)} hits: {refused.err}"
    finally:
        made.cluster.delete_index(other.index)


def _title(**body: Any) -> dict[str, Any]:
    return {"properties": {"title": body}}


CASES: Sequence[IndexCase] = (
    IndexCase(
        "A1 _source.excludes", "refused, names the fields", _refused("popularity, search_blob", "reindex"),
        {"_source": {"excludes": ["popularity", "search_blob"]},
         "properties": {"title": _TEXT, "popularity": _NUMBER, "search_blob": _TEXT}},
    ),
    IndexCase(
        "A1 _source.includes", "refused, names the fields", _refused("_source leaves out", "popularity"),
        {"_source": {"includes": ["title", "gram_*"]}, "properties": {"title": _TEXT, "popularity": _NUMBER}},
    ),
    IndexCase("A1 _source without gram_*", "refused", _refused("gram_v1.codes"), {"_source": {"excludes": ["gram_*"]}}),
    IndexCase("A1 _source without the title", "refused", _refused("title"), {"_source": {"excludes": ["title"]}}),
    IndexCase("A1 _source disabled", "refused", _refused("_source is disabled"), {"_source": {"enabled": False}}),
    IndexCase("A2 external versions", "the writer goes on", _keeps_numbers),
    IndexCase("A3 routing", "60 of 60 coded", _works(routing="shop 7"), settings={"number_of_shards": 3}),
    IndexCase(
        "A3 routing required", "60 of 60 coded", _works(routing="ü"),
        {"_routing": {"required": True}}, {"number_of_shards": 3},
    ),
    IndexCase("A4 the nightly reload", "load says what to run", _says_that_codes_went),
    IndexCase("A5 a copy", "an index that is attached first keeps the codes", _copies),
    IndexCase(
        "B nested title", "refused", _refused("nested 'i18n'", options=["--title-field", "i18n.name"]),
        {"properties": {"i18n": {"type": "nested", "properties": {"name": _TEXT}}}},
    ),
    IndexCase("B title with index: false", "refused", _refused("is not indexed"), _title(type="text", index=False)),
    IndexCase(
        "B copy_to field as title", "refused", _refused("copy_to", "--title-field: name", field="name"),
        {"properties": {"name": {**_TEXT, "copy_to": "title"}, "title": _TEXT}},
    ),
    IndexCase(
        "B append-only index", "refused", _refused("index.append_only.enabled"),
        settings={"index.append_only.enabled": True},
    ),
    IndexCase(
        "B derived source", "refused", _refused("index.derived_source.enabled"),
        _title(type="text", store=True), {"index.derived_source.enabled": True},
    ),
    IndexCase(
        "B field limit", "refused, names setting and number", _refused("index.mapping.total_fields.limit", "5 of 8"),
        {"properties": {"title": _TEXT, **{f"f{n}": _WORD for n in range(4)}}},
        {"index.mapping.total_fields.limit": 8},
    ),
    IndexCase("B max_result_window of 100", "works", _works(), settings={"index.max_result_window": 100}),
    IndexCase("B titles as lists", "works", _works([{"title": ["Camping tent 1"]}, {"title": ["Tent", "red"]}])),
    IndexCase(
        "B keyword title with a text below it", "works",
        _works([{"name": "Camping tent"}], "--title-field", "name"),
        {"properties": {"name": {**_WORD, "fields": {"analyzed": _TEXT}}}},
    ),
    IndexCase(
        "B join index", "--query says what a product is", _codes_products_of_a_join,
        {"properties": {"title": _TEXT, "kind": {"type": "join", "relations": {"product": "offer"}}}},
    ),
    IndexCase("B alias of two indices", "attach each; the alias is searched", _serves_an_alias),
)  # fmt: skip


@contextmanager
def _make(cluster: Cluster, case: IndexCase) -> Iterator[Made]:
    index = f"field-index-{uuid.uuid4().hex[:12]}"
    mapping = {"properties": {"title": _TEXT}, **case.mapping}
    cluster.create_index(index, {"settings": {"number_of_replicas": 0, **case.settings}, "mappings": mapping})
    try:
        yield Made(cluster, index)
    finally:
        cluster.delete_index(index)


def run(_: Path, cluster: Cluster) -> list[Case]:
    """Run all cases, each on an index of its own."""
    found = []
    for case in CASES:
        with _make(cluster, case) as made:
            wrong = case.act(made)
        found.append(Case(case.name, case.expected, wrong or case.expected, not wrong))
    return found
