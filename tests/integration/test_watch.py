"""Watch on a real node: every change of any writer gets its codes, once, and nothing else is touched."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, read_attachment
from gram_os.edits.book import EditBook
from gram_os.edits.edit import Correction
from gram_os.errors import LabelGoneError
from gram_os.ingest.backfill import backfill
from gram_os.ingest.documents import build_code_fields
from gram_os.ingest.watch import Watch, WatchOptions
from gram_os.model.generator import Generator
from tests.bundles import make_generator
from tests.conftest import MakeIndex
from tests.ingest_checks import check_codes, read_all, write_documents
from tests.relay import Relay

pytestmark = pytest.mark.integration

DOCUMENTS: dict[str, dict[str, Any]] = {
    "1": {"title": "Xerox toner cartridge, black", "price": 10},
    "2": {"title": "HP laptop", "brand": "HP"},
    "3": {"title": "Wireless mouse"},
}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def state(generator: Generator) -> LabelState:
    return LabelState("t1", generator.bundle.id, "title")


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex, state: LabelState) -> str:
    name = make_index(settings={"number_of_shards": 2, "number_of_replicas": 0})
    write_documents(cluster, name, DOCUMENTS)
    attach(cluster, name, state)
    return name


def _watch(cluster: Cluster, name: str, state: LabelState, generator: Generator) -> Watch:
    return Watch(cluster, name, state, generator, WatchOptions(poll_s=0.05, refresh_s=0.0))


def _seq_nos(cluster: Cluster, name: str) -> dict[str, int]:
    return {id_: hit["_seq_no"] for id_, hit in read_all(cluster, name).items()}


@contextlib.contextmanager
def _following(watch: Watch) -> Iterator[None]:
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            watch.run(stop)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert errors == []


def _wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)


def test_the_first_drain_codes_what_is_there(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    assert (watch.status.coded, watch.status.lag_operations) == (3, 0)
    check_codes(cluster, index, DOCUMENTS, generator, "gram_t1")


def test_own_writes_cause_no_echo(cluster: Cluster, index: str, state: LabelState, generator: Generator) -> None:
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    before = _seq_nos(cluster, index)
    watch.drain()
    _watch(cluster, index, state, generator).drain()
    assert _seq_nos(cluster, index) == before


def test_a_new_watch_reads_only_what_is_new(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    _watch(cluster, index, state, generator).drain()
    write_documents(cluster, index, {"4": {"title": "red mouse"}})
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    assert (watch.status.coded, watch.status.unchanged) == (1, 1)  # the change, and our own write of its codes


def test_after_a_backfill_nothing_is_read_twice(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    backfill(cluster, index, state, generator)
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    assert (watch.status.coded, watch.status.unchanged) == (0, 0)


def _full(cluster: Cluster, index: str) -> None:
    write_documents(cluster, index, {"3": {"title": "Apple laptop"}})


def _partial(cluster: Cluster, index: str) -> None:
    cluster.request("POST", f"/{index}/_update/3", {"doc": {"title": "Apple laptop"}})


def _bulk_partial(cluster: Cluster, index: str) -> None:
    write_documents(cluster, index, {"3": {"doc": {"title": "Apple laptop"}}}, op="update")


def _by_query(cluster: Cluster, index: str) -> None:
    script = {"source": "ctx._source.title = 'Apple laptop'", "lang": "painless"}
    cluster.refresh(index)
    cluster.request("POST", f"/{index}/_update_by_query", {"query": {"ids": {"values": ["3"]}}, "script": script})


def _reindexed(cluster: Cluster, index: str) -> None:
    other = f"{index}-source"
    write_documents(cluster, other, {"3": {"title": "Apple laptop"}})
    cluster.refresh(other)
    cluster.request("POST", "/_reindex", {"source": {"index": other}, "dest": {"index": index}})
    cluster.delete_index(other)


@pytest.mark.parametrize("write", [_full, _partial, _bulk_partial, _by_query, _reindexed])
def test_every_way_of_writing_is_seen(
    cluster: Cluster,
    index: str,
    state: LabelState,
    generator: Generator,
    write: Callable[[Cluster, str], None],
) -> None:
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    write(cluster, index)
    watch.drain()
    assert watch.status.coded == 4
    found = read_all(cluster, index)["3"]["_source"]
    assert found["title"] == "Apple laptop" and "apple | laptop" in found["gram_t1"]["codes"]


def test_changes_without_a_new_text_are_left_alone(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    write_documents(cluster, index, {"1": {"doc": {"price": 11}}}, op="update")
    before = _seq_nos(cluster, index)
    watch.drain()
    assert _seq_nos(cluster, index) == before
    assert watch.status.coded == 3


def test_deleted_documents_stay_deleted(cluster: Cluster, index: str, state: LabelState, generator: Generator) -> None:
    write_documents(cluster, index, {"4": {"title": "red mouse"}})
    list(cluster.bulk([{"op": "delete", "index": index, "id": "4"}]))
    _watch(cluster, index, state, generator).drain()
    check_codes(cluster, index, DOCUMENTS, generator, "gram_t1")


def test_an_alias_and_an_index_that_comes_behind_it(
    cluster: Cluster, index: str, make_index: MakeIndex, state: LabelState, generator: Generator
) -> None:
    alias, second = f"{index}-alias", make_index()
    cluster.request("PUT", f"/{index}/_alias/{alias}")
    watch = _watch(cluster, alias, state, generator)
    watch.drain()
    # A rollover: the new index has no labels yet.
    write_documents(cluster, second, {"9": {"title": "Xerox toner"}})
    cluster.request("PUT", f"/{second}/_alias/{alias}")
    write_documents(cluster, index, {"1": {"title": "HP mouse"}})
    watch.drain()
    check_codes(cluster, index, {**DOCUMENTS, "1": {"title": "HP mouse"}}, generator, "gram_t1")
    check_codes(cluster, second, {"9": {"title": "Xerox toner"}}, generator, "gram_t1")
    attachment = read_attachment(cluster, alias)
    assert attachment is not None and attachment.active == "t1"


def test_an_index_behind_an_alias_gets_all_labels_and_the_active_one(
    cluster: Cluster, index: str, make_index: MakeIndex, state: LabelState, generator: Generator
) -> None:
    alias, second = f"{index}-alias", make_index()
    attach(cluster, index, LabelState("t0", generator.bundle.id, "title"))
    cluster.request("PUT", f"/{index}/_alias/{alias}")
    watch = _watch(cluster, alias, LabelState("t0", generator.bundle.id, "title"), generator)
    watch.drain()
    cluster.request("PUT", f"/{second}/_alias/{alias}")
    watch.drain()
    attachment = read_attachment(cluster, alias)
    assert attachment is not None and (attachment.active, set(attachment.labels)) == ("t1", {"t0", "t1"})


def test_new_shards_after_a_split(
    cluster: Cluster, make_index: MakeIndex, state: LabelState, generator: Generator
) -> None:
    name = make_index(settings={"number_of_shards": 1, "number_of_routing_shards": 4, "number_of_replicas": 0})
    many = {str(n): {"title": ("HP laptop", "Xerox toner", "red mouse")[n % 3]} for n in range(40)}
    write_documents(cluster, name, many)
    attach(cluster, name, state)
    alias = f"{name}-alias"
    cluster.request("PUT", f"/{name}/_alias/{alias}")
    watch = _watch(cluster, alias, state, generator)
    watch.drain()
    cluster.request("PUT", f"/{name}/_settings", {"index.blocks.write": True})
    target = f"{name}-split"
    cluster.request("POST", f"/{name}/_split/{target}", {"settings": {"index.number_of_shards": 4}})
    cluster.request("PUT", f"/{target}/_settings", {"index.blocks.write": None})
    actions = [{"remove": {"index": name, "alias": alias}}, {"add": {"index": target, "alias": alias}}]
    cluster.request("POST", "/_aliases", {"actions": actions})
    write_documents(cluster, target, {"3": {"title": "Apple mouse"}})
    watch.drain()
    assert (watch.status.coded, watch.status.refused) == (41, 0)
    check_codes(cluster, target, {**many, "3": {"title": "Apple mouse"}}, generator, "gram_t1")
    cluster.delete_index(target)


def test_routing_and_a_writers_own_version_numbers(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    write_documents(cluster, index, {"5": {"title": "HP mouse"}}, routing="shop-7", version=17, version_type="external")
    _watch(cluster, index, state, generator).drain()
    found = read_all(cluster, index)["5"]
    assert found["_routing"] == "shop-7" and "hp | mouse" in found["_source"]["gram_t1"]["codes"]
    write_documents(
        cluster, index, {"5": {"title": "HP laptop"}}, routing="shop-7", version=18, version_type="external"
    )


def test_a_writer_between_reading_and_writing_is_not_overwritten(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    class Meddler:
        bundle = generator.bundle

        def __init__(self) -> None:
            self.acts = [lambda: write_documents(cluster, index, {"2": {"title": "Apple laptop", "price": 99}})]

        def code_batch(self, products: Any) -> Any:
            if self.acts:
                self.acts.pop()()
            return generator.code_batch(products)

        def code_products(self, products: Any) -> Any:
            return generator.code_products(products)

    watch = Watch(cluster, index, state, Meddler(), WatchOptions(0.05, 0.0))
    watch.drain()
    assert watch.status.conflicts == 1
    check_codes(cluster, index, {**DOCUMENTS, "2": {"title": "Apple laptop", "price": 99}}, generator, "gram_t1")


def test_a_poisonous_title_does_not_stop_the_others(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    class Choking:
        bundle = generator.bundle

        def code_batch(self, products: Any) -> Any:
            if any("poison" in product.title for product in products):
                raise ValueError("cannot swallow this")
            return generator.code_batch(products)

        def code_products(self, products: Any) -> Any:
            for product in products:
                yield from self.code_batch([product])

    write_documents(cluster, index, {"4": {"title": "poison"}, "5": {"title": "red mouse"}, "6": {"price": 1}})
    watch = Watch(cluster, index, state, Choking(), WatchOptions(0.05, 0.0))
    watch.drain()
    assert (watch.status.coded, watch.status.refused) == (4, 2)
    letters = {letter.key.id: letter for letter in watch.dead_letters.list(indices=[index])}
    assert letters["4"].reason == "could not be coded: ValueError: cannot swallow this"
    assert letters["6"].reason == "has no title in field 'title'"
    write_documents(cluster, index, {"4": {"title": "black mouse"}})
    watch.drain()
    assert [letter.key.id for letter in watch.dead_letters.list(indices=[index])] == ["6"]


def test_one_change_is_visible_soon(cluster: Cluster, index: str, state: LabelState, generator: Generator) -> None:
    watch = Watch(cluster, index, state, generator)
    coded = {"query": {"bool": {"filter": [{"term": {"gram_t1.codes": "apple | mouse"}}]}}}
    with _following(watch):
        _wait_for(lambda: watch.status.coded == 3 and not watch.status.lag_operations)
        write_documents(cluster, index, {"4": {"title": "Apple mouse"}})
        # A limit of a test on a busy machine; benchmarks/ingest.py has the measure.
        _wait_for(lambda: bool(cluster.search(index, coded)["hits"]["hits"]), 20)


def test_a_watch_outlives_a_cluster_that_goes_away(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    with Relay(cluster.url) as relay:
        from gram_os.cluster.bulk import Backoff
        from gram_os.settings import ClusterSettings

        through = Cluster(ClusterSettings(url=relay.url, timeout_s=30), backoff=Backoff(attempts=2, initial_s=0.05))
        watch = _watch(through, index, state, generator)
        with _following(watch):
            _wait_for(lambda: watch.status.coded == 3)
            relay.cut()
            write_documents(cluster, index, {"4": {"title": "Apple mouse"}})
            _wait_for(lambda: watch.status.lag_seconds > 0.5)
            relay.mend()
            _wait_for(lambda: watch.status.coded == 4 and watch.status.lag_seconds == 0)
        through.close()
    check_codes(cluster, index, {**DOCUMENTS, "4": {"title": "Apple mouse"}}, generator, "gram_t1")


def test_two_watches_share_the_work_by_turns(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    first, second = (_watch(cluster, index, state, generator) for _ in range(2))
    with _following(first):
        _wait_for(lambda: first.status.coded == 3)
        with _following(second):
            write_documents(cluster, index, {"4": {"title": "Apple mouse"}})
            _wait_for(lambda: first.status.coded == 4)
            assert second.status.coded == 0
    with _following(second):  # the first one has left
        write_documents(cluster, index, {"5": {"title": "HP mouse"}})
        _wait_for(lambda: second.status.coded == 1)


def test_a_label_that_is_taken_out_ends_the_watch(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    cluster.put_mapping(index, {"_meta": {}})
    with pytest.raises(LabelGoneError, match="has no label 't1'"):
        _watch(cluster, index, state, generator).drain()


def test_what_a_document_gets_is_what_backfill_gives_it(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    _watch(cluster, index, state, generator).drain()
    found = read_all(cluster, index)["1"]["_source"]["gram_t1"]
    from gram_os.catalogue import Product

    (coded,) = generator.code_batch([Product("1", DOCUMENTS["1"]["title"], DOCUMENTS["1"])])
    assert {**found, "coded_at": ""} == {**build_code_fields(coded, found["source"]), "coded_at": ""}


def test_an_edit_shows_within_seconds_and_is_taken_back(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    watch, book = Watch(cluster, index, state, generator), EditBook(cluster)

    def codes() -> list[str]:
        return list(read_all(cluster, index)["3"]["_source"].get("gram_t1", {}).get("codes", []))

    with _following(watch):
        _wait_for(lambda: watch.status.coded == 3)
        before = codes()
        edit = book.add(Correction(index=index, ids=("3",), add=("red",), remove=("wireless",)), "ann")
        _wait_for(lambda: "red" in codes() and not any("wireless" in code for code in codes()))
        write_documents(cluster, index, {"3": {"doc": {"title": "Wireless mouse, black"}}}, op="update")
        _wait_for(lambda: any("black" in code for code in codes()) and "red" in codes())
        write_documents(cluster, index, {"3": {"doc": {"title": "Wireless mouse"}}}, op="update")
        book.undo(edit.number, "ann")
        _wait_for(lambda: codes() == before)
    assert "edits" not in read_all(cluster, index)["3"]["_source"]["gram_t1"]


def test_edits_made_while_no_watch_ran_are_found(
    cluster: Cluster, index: str, state: LabelState, generator: Generator
) -> None:
    _watch(cluster, index, state, generator).drain()
    EditBook(cluster).add(Correction(index=index, forbid="laptop", type="laptop"), "ann")
    EditBook(cluster).add(Correction(index=index, query={"term": {"price": 10}}, add=("red",)), "ann")
    watch = _watch(cluster, index, state, generator)
    watch.drain()
    found = read_all(cluster, index)
    assert "red" in found["1"]["_source"]["gram_t1"]["codes"]
    assert not any("laptop" in code for code in found["2"]["_source"]["gram_t1"]["codes"])
    assert watch.status.coded == 2
