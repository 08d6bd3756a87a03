"""Indices as people have them: what attach refuses and why, and what backfill and search do with the rest.

Each test holds a kind of `docs/add-to-your-index.md`: nothing is lost, nothing is left behind without a word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, require_label
from gram_os.errors import IndexUnfitError, InputError
from gram_os.ingest.backfill import BackfillReport, backfill
from gram_os.model.generator import Generator
from gram_os.query_pipeline.search import Mode
from gram_os.query_pipeline.systems import open_pipeline
from tests.bundles import make_generator
from tests.conftest import MakeIndex

pytestmark = pytest.mark.integration

TEXT, WORD, NUMBER = {"type": "text"}, {"type": "keyword"}, {"type": "long"}
TITLES = ("HP laptop", "Xerox toner cartridge, black", "red mouse")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


def _state(generator: Generator, title: str = "title", **more: Any) -> LabelState:
    return LabelState("t1", generator.bundle.id, title, **more)


def _write(cluster: Cluster, index: str, *documents: dict[str, Any] | str, **more: Any) -> None:
    """Write documents (a text is JSON) with the ids 0, 1, ...; `more` goes into each action."""
    actions = [{"op": "index", "index": index, "id": str(n), "body": d, **more} for n, d in enumerate(documents)]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(documents)
    cluster.refresh(index)


def _code(cluster: Cluster, index: str, generator: Generator, title: str = "title", **more: Any) -> BackfillReport:
    attach(cluster, index, _state(generator, title, **more))
    return backfill(cluster, index, require_label(cluster, index), generator)


def _read(cluster: Cluster, index: str, id_: str, routing: str | None = None) -> dict[str, Any]:
    params = {} if routing is None else {"routing": routing}
    return dict(cluster._client.get(index=index, id=id_, params=params))


def _refusal(cluster: Cluster, index: str, generator: Generator, title: str = "title") -> str:
    """Attach an index that must be refused, and return the words; its mapping must stay as it is."""
    before = [facts.mapping for facts in cluster.get_indices(index)]
    with pytest.raises(IndexUnfitError) as caught:
        attach(cluster, index, _state(generator, title))
    assert [facts.mapping for facts in cluster.get_indices(index)] == before
    return str(caught.value)


def _make(cluster: Cluster, make_index: MakeIndex, **mapping: Any) -> str:
    """Make an index with parts of a mapping beside `properties`, such as `_source`."""
    index = make_index()
    cluster.delete_index(index)
    cluster.create_index(
        index,
        {
            "settings": {"number_of_shards": 3, "number_of_replicas": 0},
            "mappings": {"properties": {"title": TEXT}, **mapping},
        },
    )
    return index


# --- fields that _source does not hold


@pytest.mark.parametrize(
    ("source", "properties", "named"),
    [
        (
            {"excludes": ["popularity", "search_blob"]},
            {"popularity": NUMBER, "search_blob": TEXT},
            "popularity, search_blob",
        ),
        ({"excludes": ["vec*"]}, {"vectors": {"properties": {"a": NUMBER}}}, "vectors.a"),
        ({"includes": ["title", "gram_*"]}, {"price": NUMBER}, "price"),
        ({"includes": ["title"]}, {}, "gram_t1.codes"),
        ({"excludes": ["gram_*"]}, {}, "gram_t1.codes"),
        ({"excludes": ["title"]}, {}, "title"),
        ({"enabled": False}, {}, "_source is disabled"),
    ],
)
def test_filtered_source_is_refused_with_the_fields_that_would_suffer(
    cluster: Cluster, make_index: MakeIndex, generator: Generator,
    source: dict[str, Any], properties: dict[str, Any], named: str,
) -> None:  # fmt: skip
    index = _make(cluster, make_index, _source=source, properties={"title": TEXT, **properties})
    _write(cluster, index, {"title": "HP laptop"})
    text = _refusal(cluster, index, generator)
    assert named in text and "_source" in text and "reindex" in text


def test_filter_that_leaves_out_no_mapped_field_works(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    source = {"excludes": ["debug", "tmp.*"]}
    index = _make(cluster, make_index, _source=source, dynamic="false")
    _write(cluster, index, {"title": "HP laptop", "debug": "x", "price": 3})
    assert _code(cluster, index, generator) == BackfillReport(1)
    found = _read(cluster, index, "0")["_source"]
    assert found.pop("gram_t1") and found == {"title": "HP laptop", "price": 3}


def test_number_whose_writing_the_filter_has_not_kept_is_named(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    # The index has the term "1.10", and the filtered _source has 1.1.
    properties = {"title": TEXT, "size": WORD, "price": {"type": "double"}}
    index = _make(cluster, make_index, _source={"excludes": ["debug"]}, properties=properties)
    _write(cluster, index, {"title": "HP laptop", "price": 1.5}, '{"title": "red mouse", "size": 1.10}')
    report = _code(cluster, index, generator)
    assert (report.coded, [refusal.id for refusal in report.refused]) == (1, ["1"])
    assert "field 'size' holds a number" in report.refused[0].reason
    assert cluster.count(index, {"term": {"size": "1.10"}}) == 1


def test_field_that_the_filter_reaches_later_stops_the_backfill(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    index = _make(cluster, make_index, _source={"excludes": ["vec*"]})
    attach(cluster, index, _state(generator))
    _write(cluster, index, {"title": "HP laptop", "vector": 7})
    with pytest.raises(IndexUnfitError, match="leaves out vector"):
        backfill(cluster, index, _state(generator), generator)
    assert cluster.count(index, {"term": {"vector": 7}}) == 1


def test_derived_source_is_refused(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    stored = {"title": {"type": "text", "store": True}}
    index = make_index(settings={"number_of_replicas": 0, "index.derived_source.enabled": True}, properties=stored)
    assert "index.derived_source.enabled" in _refusal(cluster, index, generator)


# --- writers that number their documents, pipelines, and how a document is written back


@pytest.mark.parametrize("kind", ["external", "external_gte"])
def test_writer_that_numbers_its_documents_goes_on(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, kind: str
) -> None:
    index = make_index()
    _write(cluster, index, {"title": "HP laptop"}, version=41, version_type=kind)
    assert _code(cluster, index, generator) == BackfillReport(1)
    assert _read(cluster, index, "0")["_version"] == 41
    _write(cluster, index, {"title": "red mouse"}, version=42, version_type=kind)
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(1)
    (deleted,) = cluster.bulk([{"op": "delete", "index": index, "id": "0", "version": 43, "version_type": kind}])
    assert deleted.ok


def test_document_goes_back_as_it_is_written(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    # A partial update would make 1.10 and 2E3 of the keyword fields 1.1 and 2000.0, and no term would find them.
    index = make_index(properties={"title": TEXT, "size": WORD, "rate": WORD, "price": {"type": "double"}})
    text = '{"size" : 1.10, "title": "HP laptop \\u00e9", "rate": 2E3, "price": 100000000.0, "tags": {"a":[ ]}}'
    _write(cluster, index, text)
    assert _code(cluster, index, generator) == BackfillReport(1)
    body = {"query": {"bool": {"filter": [{"term": {"size": "1.10"}}, {"term": {"rate": "2E3"}}]}}}
    assert len(cluster.search(index, body)["hits"]["hits"]) == 1
    answer = cluster._client.get(index=index, id="0").text
    assert text[:-1] in answer  # every byte that the writer wrote
    _write(cluster, index, {"title": "red mouse"})
    backfill(cluster, index, _state(generator), generator)
    assert "red" in _read(cluster, index, "0")["_source"]["gram_t1"]["attributes"]["colour"]


@pytest.fixture
def pipeline(cluster: Cluster) -> Iterator[str]:
    """An ingest pipeline that counts how often it saw a document."""
    name = "test-seen"
    script = {"script": {"source": "ctx.seen = ctx.seen == null ? 1 : ctx.seen + 1"}}
    cluster._client.ingest.put_pipeline(id=name, body={"processors": [script]})
    yield name
    cluster._client.ingest.delete_pipeline(id=name)


def test_default_pipeline_does_not_run_again(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, pipeline: str
) -> None:
    index = make_index(settings={"number_of_replicas": 0, "index.default_pipeline": pipeline})
    _write(cluster, index, {"title": "HP laptop"})
    assert _code(cluster, index, generator) == BackfillReport(1)
    assert _read(cluster, index, "0")["_source"]["seen"] == 1
    cluster.delete_index(index)


def test_final_pipeline_is_refused(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, pipeline: str
) -> None:
    index = make_index(settings={"number_of_replicas": 0, "index.final_pipeline": pipeline})
    text = _refusal(cluster, index, generator)
    assert f"final pipeline '{pipeline}' would run once more" in text and "index.default_pipeline" in text
    cluster.delete_index(index)


# --- routing and join fields


@pytest.mark.parametrize("required", [False, True])
def test_routed_documents_are_coded_where_they_are(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, required: bool
) -> None:
    index = _make(cluster, make_index, _routing={"required": required})
    keys = [(str(n), f"shop-{n % 7}") for n in range(60)]
    actions = [
        {"op": "index", "index": index, "id": id_, "routing": routing, "body": {"title": TITLES[int(id_) % 3]}}
        for id_, routing in keys
    ]
    assert all(item.ok for item in cluster.bulk(actions))
    assert _code(cluster, index, generator) == BackfillReport(60)
    assert cluster.count(index, {"exists": {"field": "gram_t1.source"}}) == cluster.count(index) == 60
    for id_, routing in keys[::9]:
        found = _read(cluster, index, id_, routing)
        assert found["_routing"] == routing and found["_source"]["gram_t1"]["codes"]
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(0, 60)


def test_two_documents_with_one_id_are_two(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index(settings={"number_of_shards": 5, "number_of_replicas": 0})
    routings = [f"r{n}" for n in range(20)]
    for n, routing in enumerate(routings):
        _write(cluster, index, {"title": f"HP laptop {n}"}, routing=routing)
    documents = cluster.count(index)
    assert documents > 1
    report = _code(cluster, index, generator)
    assert report == BackfillReport(documents)


def test_products_among_other_documents(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    join = {"type": "join", "relations": {"product": "offer"}}
    index = make_index(properties={"title": TEXT, "price": NUMBER, "kind": join})
    _write(
        cluster,
        index,
        {"title": "HP laptop", "kind": "product"},
        {"title": "red mouse", "kind": "product"},
        routing="a",
    )
    offer = {"price": 3, "kind": {"name": "offer", "parent": "0"}}
    (item,) = cluster.bulk([{"op": "index", "index": index, "id": "o", "routing": "a", "body": offer}])
    assert item.ok
    report = _code(cluster, index, generator)
    assert (report.coded, [refusal.id for refusal in report.refused]) == (2, ["o"])
    products = {"term": {"kind": "product"}}
    assert _code(cluster, index, generator, products=products) == BackfillReport(0, 2)
    child = {"has_child": {"type": "offer", "query": {"range": {"price": {"lte": 3}}}}}
    assert [hit["_id"] for hit in cluster.search(index, {"query": child})["hits"]["hits"]] == ["0"]
    assert _read(cluster, index, "o", "a")["_source"] == offer


# --- names


def test_alias_of_one_index_is_that_index(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index()
    _write(cluster, index, {"title": "HP laptop"}, {"title": "red mouse"})
    alias = f"{index}-alias"
    # Writes through this alias would get a routing of its own, and its searches see one document only.
    cluster._client.indices.put_alias(
        index=index, name=alias, body={"routing": "x", "filter": {"match": {"title": "hp"}}}
    )
    attach(cluster, alias, _state(generator))
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(2)


def test_alias_of_many_indices(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    first, second = make_index(), make_index()
    alias = f"{first}-alias"
    for index, title in ((first, "HP laptop"), (second, "red mouse")):
        _write(cluster, index, {"title": title})
        cluster._client.indices.put_alias(index=index, name=alias)
    text = _refusal(cluster, alias, generator)
    assert first in text and second in text and "attach each of them" in text
    attach(cluster, first, _state(generator))
    with pytest.raises(IndexUnfitError, match=f"attach --index {second}"):
        require_label(cluster, alias)
    attach(cluster, second, _state(generator))
    assert backfill(cluster, alias, require_label(cluster, alias), generator) == BackfillReport(2)
    hits = open_pipeline(cluster, alias, generator=generator).search("hp laptop", mode=Mode.GRAM).hits
    assert first in {hit.index for hit in hits}


def test_products_of_one_id_behind_an_alias_are_two_hits(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    alias, titles = "test-two-shops", {"HP laptop", "Apple laptop"}
    for title in titles:
        index = make_index()
        _write(cluster, index, {"title": title})
        cluster._client.indices.put_alias(index=index, name=alias)
        attach(cluster, index, _state(generator))
    backfill(cluster, alias, require_label(cluster, alias), generator)
    pipeline = open_pipeline(cluster, alias, generator=generator)
    for mode in Mode:
        hits = pipeline.search("laptop", mode=mode, source=["title"], explain=True).hits
        assert {str((hit.source or {})["title"]) for hit in hits} == titles
        assert len({hit.index for hit in hits}) == 2


@pytest.mark.parametrize("pattern", ["{index}*", "{index},other", "{index},{index}"])
def test_patterns_are_refused(cluster: Cluster, make_index: MakeIndex, generator: Generator, pattern: str) -> None:
    name = pattern.format(index=make_index())
    with pytest.raises(Exception, match=r"pattern|does not exist"):
        attach(cluster, name, _state(generator))


def test_data_stream_is_refused(cluster: Cluster, generator: Generator) -> None:
    client, name = cluster._client, "test-stream"
    template = {"index_patterns": [name], "data_stream": {}, "template": {"settings": {"number_of_replicas": 0}}}
    client.indices.put_index_template(name=name, body=template)
    client.indices.create_data_stream(name=name)
    try:
        (backing,) = cluster.get_indices(name)
        for asked in (name, backing.name):
            assert f"data stream '{name}'" in _refusal(cluster, asked, generator)
    finally:
        client.indices.delete_data_stream(name=name)
        client.indices.delete_index_template(name=name)


# --- titles


@pytest.mark.parametrize("named", ["name", "name.analyzed"])
def test_keyword_title_with_a_text_below_it(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, named: str
) -> None:
    index = make_index(properties={"name": {**WORD, "fields": {"analyzed": TEXT}}})
    _write(cluster, index, {"name": "HP laptop"}, {"name": ["red mouse"]}, {"name": ["Xerox toner", "black"]})
    assert _code(cluster, index, generator, named) == BackfillReport(3)
    pipeline = open_pipeline(cluster, index, generator=generator)
    hits = pipeline.search("laptops laptop", mode=Mode.BM25, source=["name"]).hits
    assert [hit.source for hit in hits] == [{"name": "HP laptop"}]
    assert {hit.id for hit in pipeline.search("laptop", mode=Mode.GRAM).hits} >= {"0"}
    assert _read(cluster, index, "2")["_source"]["gram_t1"]["attributes"]["colour"] == ["black"]


@pytest.mark.parametrize(
    ("properties", "title", "words"),
    [
        ({"i18n": {"type": "nested", "properties": {"name": TEXT}}}, "i18n.name", "part of the nested 'i18n'"),
        ({"title": {"type": "text", "index": False}}, "title", "is not indexed"),
        ({"a": {**TEXT, "copy_to": "all"}, "all": TEXT}, "all", "filled by copy_to.* --title-field: a"),
        ({"title": {"type": "flat_object"}, "name": TEXT}, "title.en", "does not exist; its text fields: name"),
        ({"name": TEXT, "title": {"type": "alias", "path": "name"}}, "title", "is an alias of 'name'"),
        ({"title": WORD, "name": TEXT}, "title", "is of type keyword, no text; its text fields: name"),
        ({"price": NUMBER}, "price", "is of type long, no text; it has no text field at all"),
        (
            {"name": TEXT, "title": {"properties": {"de": TEXT}}},
            "titel",
            "does not exist; its text fields: title.de, name|name",
        ),
    ],
)
def test_title_that_cannot_serve(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, properties: dict[str, Any], title: str, words: str
) -> None:
    import re

    text = _refusal(cluster, make_index(properties=properties), generator, title)
    assert re.search(words, text), text


def test_title_that_is_written_and_copied_into(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index(properties={"title": TEXT, "brand": {**WORD, "copy_to": "title"}})
    _write(cluster, index, {"title": "laptop", "brand": "HP"})
    assert _code(cluster, index, generator) == BackfillReport(1)
    assert cluster.count(index, {"match": {"title": "hp"}}) == 1


# --- settings


def test_small_result_window_works(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index(settings={"number_of_replicas": 0, "index.max_result_window": 100})
    _write(cluster, index, *({"title": f"{TITLES[n % 3]} {n}"} for n in range(250)))
    assert _code(cluster, index, generator) == BackfillReport(250)
    pipeline = open_pipeline(cluster, index, generator=generator)
    found = {mode: len(pipeline.search("laptop", mode=mode, size=100).hits) for mode in Mode}
    assert found[Mode.BM25] == 84 and min(found.values()) >= 84
    with pytest.raises(InputError, match=r"beyond hit 100.*index\.max_result_window"):
        pipeline.search("laptop", size=101)


def test_field_limit_is_named(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    settings = {"number_of_replicas": 0, "index.mapping.total_fields.limit": 10}
    index = make_index(settings=settings, properties={"title": TEXT, **{f"f{n}": WORD for n in range(7)}})
    text = _refusal(cluster, index, generator)
    assert "8 of 10 fields are used (index.mapping.total_fields.limit), and codes take 25" in text
    body = json.loads(text[text.index("{") :])
    cluster._client.indices.put_settings(index=index, body=body)
    attach(cluster, index, _state(generator))


def test_append_only_index_is_refused(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index(settings={"number_of_replicas": 0, "index.append_only.enabled": True})
    assert "index.append_only.enabled" in _refusal(cluster, index, generator)


@pytest.mark.parametrize("block", ["write", "read_only", "read_only_allow_delete"])
def test_blocked_index_is_refused_with_the_cure(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, block: str
) -> None:
    index = make_index()
    settings: Any = cluster._client.indices
    settings.put_settings(index=index, body={f"index.blocks.{block}": True})
    try:
        assert f'"index.blocks.{block}": null' in _refusal(cluster, index, generator)
    finally:
        settings.put_settings(index=index, body={f"index.blocks.{block}": None})


# --- others that write meanwhile


class _Meddler:
    """A coder that lets somebody else act between reading and writing."""

    def __init__(self, generator: Generator, act: Callable[[], object]):
        self.bundle, self._generator, self._act = generator.bundle, generator, act
        self.code_batch = generator.code_batch

    def code_products(self, products: Any) -> Any:
        chosen = list(products)
        self._act()
        self._act = lambda: None
        yield from self._generator.code_products(chosen)


def test_another_labels_codes_written_meanwhile_are_kept(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    # A write of codes keeps the version number, so the number alone would not tell two of them apart.
    index = make_index()
    _write(cluster, index, *({"title": title} for title in TITLES))
    second = LabelState("t2", generator.bundle.id, "title")
    for state in (_state(generator), second):
        attach(cluster, index, state)
    coder = _Meddler(generator, lambda: backfill(cluster, index, second, generator))
    assert backfill(cluster, index, _state(generator), coder).coded == 3
    for n in range(3):
        found = _read(cluster, index, str(n))
        assert found["_version"] == 1 and {"gram_t1", "gram_t2"} <= set(found["_source"])


def test_products_that_arrive_meanwhile_are_coded_too(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    index = make_index()
    _write(cluster, index, {"title": "HP laptop"})
    attach(cluster, index, _state(generator))
    late = {"op": "index", "index": index, "id": "late", "body": {"title": "red mouse"}}
    coder = _Meddler(generator, lambda: list(cluster.bulk([late])))
    assert backfill(cluster, index, _state(generator), coder) == BackfillReport(2)
