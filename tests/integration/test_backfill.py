"""Backfill on a real node: the documents get their codes, and nobody's change is lost."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.cluster.stored import DocumentKey
from gram_os.errors import IndexMissingError, IndexUnfitError
from gram_os.ingest.backfill import BackfillReport, backfill
from gram_os.ingest.documents import (
    CodedDocument,
    Document,
    read_document,
    source_fields,
    write_documents,
)
from gram_os.ingest.packing import pack_weights
from gram_os.ingest.writing import Refusal, WriteOutcome
from gram_os.model.coded import CodedText
from gram_os.model.generator import Generator
from gram_os.settings import ClusterSettings
from tests.bundles import make_generator
from tests.conftest import MakeIndex
from tests.relay import Relay

pytestmark = pytest.mark.integration

DOCUMENTS: dict[str, dict[str, Any]] = {
    "1": {"title": "Xerox toner cartridge, black", "price": 10},
    "2": {"title": "HP laptop", "brand": "HP", "tags": ["wireless", "red"]},
    "3": {"title": "Wireless mouse"},
}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> str:
    name = make_index()
    _write(cluster, name, DOCUMENTS)
    attach(cluster, name, _state(generator))
    return name


class Meddler:
    """A coder that lets others write meanwhile: `acts[n]` happens between reading and writing round n."""

    def __init__(self, generator: Generator, *acts: Callable[[], object]):
        self.bundle = generator.bundle
        self.coded: list[str] = []
        self._generator, self._acts = generator, list(acts)

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        chosen = list(products)
        self.coded += [product.id for product in chosen]
        if self._acts:
            self._acts.pop(0)()
        yield from self._generator.code_products(chosen)

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        return self._generator.code_batch(products)


def _state(generator: Generator, title: str = "title") -> LabelState:
    return LabelState("t1", generator.bundle.id, title)


def _write(cluster: Cluster, index: str, documents: dict[str, dict[str, Any]], op: str = "index") -> None:
    actions = [{"op": op, "index": index, "id": id_, "body": body} for id_, body in documents.items()]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(documents)


def _read(cluster: Cluster, index: str) -> dict[str, dict[str, Any]]:
    cluster.refresh(index)
    return {hit["_id"]: hit for hit in cluster.scan(index, query={"match_all": {}}, source=True)}


def _seq_nos(cluster: Cluster, index: str) -> dict[str, int]:
    return {id_: hit["_seq_no"] for id_, hit in _read(cluster, index).items()}


def test_what_is_written(cluster: Cluster, index: str, generator: Generator) -> None:
    started = datetime.now(UTC).replace(microsecond=0)
    settled: list[int] = []
    assert backfill(cluster, index, _state(generator), generator, progress=settled.append) == BackfillReport(3)
    assert sum(settled) == 3
    found = _read(cluster, index)
    for id_, document in DOCUMENTS.items():
        product = Product(id_, document["title"], document)
        coded = next(generator.code_products([product]))
        fields = found[id_]["_source"].pop("gram_t1")
        assert found[id_]["_source"] == document  # nothing of the writer's is touched
        assert fields["codes"] == [str(scored.code) for scored in coded.codes]
        values = [(kind, value) for kind, values in fields["attributes"].items() for value in values]
        assert sorted(values) == sorted((found.type.value, found.value) for found in coded.attributes)
        (weights,) = fields["weights"]
        assert weights == pytest.approx({str(scored.code): scored.weight for scored in coded.weights}, abs=1e-5)
        assert fields["probabilities"] == pack_weights(coded.weights).probabilities
        assert re.fullmatch("[0-9a-f]{16}", fields["source"])
        assert started <= datetime.fromisoformat(fields["coded_at"]) <= started + timedelta(minutes=5)
        assert set(fields) == {"codes", "attributes", "weights", "probabilities", "source", "coded_at"}
    for field, value in (("codes", "black | toner cartridge | xerox"), ("attributes.product_type", "toner cartridge")):
        found_by = cluster.search(index, {"query": {"term": {f"gram_t1.{field}": value}}})
        assert [hit["_id"] for hit in found_by["hits"]["hits"]] == ["1"]


def test_attribute_fields_are_coded_too(cluster: Cluster, index: str, generator: Generator) -> None:
    backfill(cluster, index, _state(generator), generator)
    fields = _read(cluster, index)["2"]["_source"]["gram_t1"]
    assert {"hp", "laptop", "wireless", "red"} <= set(fields["weights"][0])
    assert fields["attributes"]["brand"] == ["hp"]
    assert "hp | laptop" in fields["codes"]


def test_second_run_writes_nothing(cluster: Cluster, index: str, generator: Generator) -> None:
    backfill(cluster, index, _state(generator), generator)
    before = _seq_nos(cluster, index)
    coder = Meddler(generator)
    assert backfill(cluster, index, _state(generator), coder) == BackfillReport(0, 3)
    assert coder.coded == []
    assert _seq_nos(cluster, index) == before


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"title": "Red HP laptop"}, True),
        ({"brand": "Xerox"}, True),
        ({"tags": ["wireless"]}, True),
        ({"description": "Comes with a wireless mouse"}, True),
        ({"price": 11}, False),  # no attribute of the bundle
        ({"brand": "HP"}, False),
        ({"gram_t1": None}, True),
    ],
)
def test_only_what_changed_is_coded_again(
    cluster: Cluster, index: str, generator: Generator, change: dict[str, Any], again: bool
) -> None:
    backfill(cluster, index, _state(generator), generator)
    _write(cluster, index, {"2": {"doc": change}}, op="update")
    before = _seq_nos(cluster, index)
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(again, 3 - again)
    after = _seq_nos(cluster, index)
    assert {id_ for id_ in after if after[id_] != before[id_]} == ({"2"} if again else set())


def test_weights_of_an_old_title_do_not_stay(cluster: Cluster, index: str, generator: Generator) -> None:
    # A partial update merges objects; what is left over would be found for ever.
    for title, is_zebra in (("zebra", True), ("Red HP laptop", False)):
        _write(cluster, index, {"1": {"doc": {"title": title}}}, op="update")
        backfill(cluster, index, _state(generator), generator)
        fields = _read(cluster, index)["1"]["_source"]["gram_t1"]
        (weights,) = fields["weights"]
        assert ("zebra" in weights) == is_zebra
        assert ("laptop" in fields["codes"]) == (not is_zebra)


def test_a_chunk_says_what_became_of_each_document(cluster: Cluster, index: str, generator: Generator) -> None:
    state = _state(generator)
    _write(cluster, index, {"4": {"title": "red mouse"}})
    documents = _read_documents(cluster, index, state, generator)
    codes = generator.code_batch([document.product for document in documents])
    coded = [CodedDocument(document, found) for document, found in zip(documents, codes, strict=True)]
    _write(cluster, index, {"2": {"title": "Apple laptop"}})
    list(cluster.bulk([{"op": "delete", "index": index, "id": "3"}]))
    unfit = replace(documents[3], source="x" * 40_000)  # longer than any keyword may be
    outcome = write_documents(cluster, state, [*coded[:3], CodedDocument(unfit, codes[3])])
    assert outcome.block is None
    assert [outcome.written, outcome.conflicts, outcome.deleted] == [[DocumentKey(index, id_)] for id_ in "123"]
    assert [(refusal.id, "gram_t1.source" in refusal.reason) for refusal in outcome.refused] == [("4", True)]
    assert [document.is_current for document in _read_documents(cluster, index, state, generator)] == [
        True,
        False,
        False,
    ]


def test_a_chunk_says_that_the_index_is_blocked(cluster: Cluster, index: str, generator: Generator) -> None:
    state = _state(generator)
    documents = _read_documents(cluster, index, state, generator)
    _put_settings(cluster, index, {"index.blocks.write": True})
    outcome = write_documents(cluster, state, [CodedDocument(document, CodedText()) for document in documents])
    _put_settings(cluster, index, {"index.blocks.write": None})
    assert "[FORBIDDEN/8/" in str(outcome.block)
    assert replace(outcome, block=None) == WriteOutcome()


def _read_documents(cluster: Cluster, index: str, state: LabelState, generator: Generator) -> list[Document]:
    cluster.refresh(index)
    hits = cluster.scan(index, query={"match_all": {}}, source=source_fields(state, generator.bundle))
    read = [read_document(hit, state, generator.bundle) for hit in hits]
    return sorted((one for one in read if isinstance(one, Document)), key=lambda document: document.product.id)


def test_another_bundle_codes_all_again(
    cluster: Cluster, index: str, generator: Generator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    backfill(cluster, index, _state(generator), generator)
    other = make_generator(tmp_path_factory.mktemp("other"), title_values=3)
    assert other.bundle.id != generator.bundle.id
    assert backfill(cluster, index, _state(other), other) == BackfillReport(3)


def test_labels_do_not_touch_each_other(cluster: Cluster, index: str, generator: Generator) -> None:
    backfill(cluster, index, _state(generator), generator)
    second = LabelState("t2", generator.bundle.id, "title")
    attach(cluster, index, second)
    before = {id_: hit["_source"]["gram_t1"] for id_, hit in _read(cluster, index).items()}
    assert backfill(cluster, index, second, generator) == BackfillReport(3)
    after = _read(cluster, index)
    assert {id_: hit["_source"]["gram_t1"] for id_, hit in after.items()} == before
    assert all(hit["_source"]["gram_t2"]["codes"] for hit in after.values())


def test_writers_change_is_kept_and_coded(cluster: Cluster, index: str, generator: Generator) -> None:
    changed = {"title": "Apple laptop", "price": 99}
    coder = Meddler(generator, lambda: _write(cluster, index, {"3": changed}))
    assert backfill(cluster, index, _state(generator), coder) == BackfillReport(3)
    source = _read(cluster, index)["3"]["_source"]
    fields = source.pop("gram_t1")
    assert source == changed
    assert fields["attributes"] == {"brand": ["apple"], "product_type": ["laptop"]}
    assert coder.coded == ["1", "2", "3", "3"]
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(0, 3)


def test_document_that_never_rests_is_named(cluster: Cluster, index: str, generator: Generator) -> None:
    acts = [lambda n=n: _write(cluster, index, {"3": {"title": f"Mouse {n}"}}) for n in range(9)]
    report = backfill(cluster, index, _state(generator), Meddler(generator, *acts))
    assert (report.coded, report.unchanged) == (2, 0)
    assert report.refused == [
        Refusal(DocumentKey(index, "3"), "was changed by others 5 times in a row; run backfill again")
    ]
    assert _read(cluster, index)["3"]["_source"] == {"title": "Mouse 4"}


def test_document_deleted_meanwhile_stays_deleted(cluster: Cluster, index: str, generator: Generator) -> None:
    def delete() -> None:
        list(cluster.bulk([{"op": "delete", "index": index, "id": "3"}]))

    settled: list[int] = []
    report = backfill(cluster, index, _state(generator), Meddler(generator, delete), progress=settled.append)
    assert report == BackfillReport(2)
    assert sum(settled) == 3
    assert set(_read(cluster, index)) == {"1", "2"}


def test_documents_without_a_usable_title_are_named_and_the_rest_is_done(
    cluster: Cluster, index: str, generator: Generator
) -> None:
    bad: dict[str, dict[str, Any]] = {
        "4": {"price": 1},
        "5": {"title": None},
        "6": {"title": 17},
        "7": {"title": ["a", 3]},
        "8": {"title": " "},
    }
    _write(cluster, index, bad)
    settled: list[int] = []
    report = backfill(cluster, index, _state(generator), generator, progress=settled.append)
    assert report.coded == 3
    assert {refusal.id: refusal.reason for refusal in report.refused} == {
        "4": "has no title in field 'title'",
        "5": "has no title in field 'title'",
        "6": "has a title that is no text: '17' in field 'title'",
        "7": "has a title that is no text: \"['a', 3]\" in field 'title'",
        "8": "has a title that is no text: ' ' in field 'title'",
    }
    assert sum(settled) == 8
    assert {id_ for id_, hit in _read(cluster, index).items() if "gram_t1" in hit["_source"]} == set(DOCUMENTS)


def test_document_that_the_cluster_refuses_is_named(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    # The mapping has been closed since the document was written.
    index = make_index(properties={"title": {"type": "text"}})
    cluster.put_mapping(index, {"dynamic": "false"})
    _write(cluster, index, {"1": {"title": "HP", "colour": "red"}, "2": {"title": "Xerox"}})
    attach(cluster, index, _state(generator))
    cluster.put_mapping(index, {"dynamic": "strict"})
    report = backfill(cluster, index, _state(generator), generator)
    assert report.coded == 1
    ((refusal),) = report.refused
    assert refusal.id == "1" and "[colour] within [_doc] is not allowed" in refusal.reason


def test_title_within_an_object_also_where_the_writer_flattened_it(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    index = make_index(properties={"name": {"properties": {"en": {"type": "text"}}}})
    _write(cluster, index, {"1": {"name": {"en": "HP laptop"}}, "2": {"name.en": "Xerox toner"}})
    state = _state(generator, "name.en")
    attach(cluster, index, state)
    assert backfill(cluster, index, state, generator) == BackfillReport(2)
    found = _read(cluster, index)
    assert "laptop" in found["1"]["_source"]["gram_t1"]["codes"]
    assert "toner" in found["2"]["_source"]["gram_t1"]["codes"]


def test_more_documents_than_one_page(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index(settings={"number_of_shards": 2, "number_of_replicas": 0})
    many = {str(n): {"title": ("HP laptop", "Xerox toner", "red mouse")[n % 3]} for n in range(1300)}
    _write(cluster, index, many)
    attach(cluster, index, _state(generator))
    settled: list[int] = []
    with (
        Relay(cluster.url) as relay,
        contextlib.closing(Cluster(ClusterSettings(url=relay.url, timeout_s=120))) as through,
    ):
        assert backfill(through, index, _state(generator), generator, progress=settled.append) == BackfillReport(1300)
        assert sum(settled) == 1300 and max(settled) <= 512
        writes = [line for line in relay.requests if "/_bulk" in line]
        assert len(writes) == 2 * 2  # each shard is read by itself, and a chunk is a request
        assert backfill(through, index, _state(generator), generator) == BackfillReport(0, 1300)
        assert [line for line in relay.requests if "/_bulk" in line] == writes


@pytest.mark.parametrize("block", ["write", "read_only", "read_only_allow_delete"])
def test_read_only_index_is_refused_with_the_cure(
    cluster: Cluster, make_index: MakeIndex, generator: Generator, block: str
) -> None:
    # `read_only_allow_delete` is what the cluster sets itself when a disk is full.
    index = make_index()
    _write(cluster, index, DOCUMENTS)
    attach(cluster, index, _state(generator))
    _put_settings(cluster, index, {f"index.blocks.{block}": True})
    text = f"'{index}' takes no writes.* 0 products were coded.* lift the block .*index.blocks.{block}.* command again"
    with pytest.raises(IndexUnfitError, match=text):
        backfill(cluster, index, _state(generator), generator)
    _put_settings(cluster, index, {f"index.blocks.{block}": None})
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(3)


def _put_settings(cluster: Cluster, index: str, body: dict[str, Any]) -> None:
    cluster._client.indices.put_settings(index=index, body=body)  # nothing of ours sets blocks


def test_titles_of_every_sort(cluster: Cluster, index: str, generator: Generator) -> None:
    titles = ["😀", "שלום", "\x01", "!!", "x" * 40_000, "toner " * 20_000]
    _write(cluster, index, {f"odd{n}": {"title": title} for n, title in enumerate(titles)})
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(3 + len(titles))


def test_empty_index(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> None:
    index = make_index()
    attach(cluster, index, _state(generator))
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport()


def test_missing_index(cluster: Cluster, generator: Generator) -> None:
    with pytest.raises(IndexMissingError, match="test-absent"):
        backfill(cluster, "test-absent", _state(generator), generator)
