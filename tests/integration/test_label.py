"""Labels on a real node: which one is active, how that changes, and how the codes of one leave the documents."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, read_attachment
from gram_os.cluster.stock import carry_out, plan_templates, template_name
from gram_os.cluster.stored import DocumentKey
from gram_os.errors import BundleError, ClusterError, IndexMissingError, IndexUnfitError, LabelGoneError
from gram_os.ingest.backfill import backfill
from gram_os.ingest.dead_letters import DeadLetters
from gram_os.ingest.slices import Positions, open_state
from gram_os.ingest.versions.coverage import Coverage, list_labels, read_store
from gram_os.ingest.versions.drop import count_labelled, drop_label
from gram_os.ingest.versions.switch import LabelSwitch, change_labels, promote, roll_back
from gram_os.ingest.watch import Watch
from gram_os.ingest.writing import Refusal
from gram_os.model.coded import CodedText
from gram_os.model.generator import Generator
from gram_os.query_pipeline.search import Mode
from gram_os.query_pipeline.systems import open_pipeline
from tests.bundles import make_generator
from tests.command import run
from tests.conftest import MakeIndex

pytestmark = pytest.mark.integration

DOCUMENTS: dict[str, dict[str, Any]] = {
    "1": {"title": "Xerox toner cartridge, black", "price": 10},
    "2": {"title": "HP laptop", "brand": "HP", "tags": ["wireless", "red"]},
    "3": {"title": "Wireless mouse"},
    "4": {"title": "???"},  # no code
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory, old: Generator) -> Generator:
    generator = make_generator(tmp_path_factory.mktemp("new"), title_values=3)
    assert generator.bundle.id != old.bundle.id
    return generator


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex, old: Generator, new: Generator) -> str:
    """An index with two labels: v1 is active, and both cover it."""
    return _make(cluster, make_index, old, new)


def _make(cluster: Cluster, make_index: MakeIndex, old: Generator, new: Generator, **parts: Any) -> str:
    name = make_index(**parts)
    _write(cluster, name, DOCUMENTS)
    for label, generator in (("v1", old), ("v2", new)):
        attach(cluster, name, _state(label, generator))
        _code(cluster, name, label, generator)
    return name


def _state(label: str, generator: Generator) -> LabelState:
    return LabelState(label, generator.bundle.id, "title")


def _code(cluster: Cluster, index: str, label: str, generator: Generator) -> None:
    backfill(cluster, index, _state(label, generator), generator)


def _write(cluster: Cluster, index: str, documents: dict[str, dict[str, Any]], op: str = "index") -> None:
    actions = [{"op": op, "index": index, "id": id_, "body": body} for id_, body in documents.items()]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(documents)


def _read(cluster: Cluster, index: str) -> dict[str, dict[str, Any]]:
    cluster.refresh(index)
    return {hit["_id"]: hit["_source"] for hit in cluster.scan(index, query={"match_all": {}}, source=True)}


def _meta(cluster: Cluster, index: str) -> dict[str, Any]:
    return dict(cluster.get_mapping(index)["_meta"])


def _active(cluster: Cluster, index: str) -> str:
    attachment = read_attachment(cluster, index)
    assert attachment is not None
    return attachment.active


def _join(cluster: Cluster, alias: str, *indices: str) -> str:
    actions = [{"add": {"index": index, "alias": alias}} for index in indices]
    cluster.request("POST", "/_aliases", {"actions": actions})
    return alias


class InterruptedRunError(Exception):
    """Stands for a crash."""


class Breaking:
    """A cluster that breaks down when a method was called n times, or lets somebody act right behind the n-th call."""

    def __init__(self, cluster: Cluster, method: str, after: int, act: Callable[[], object] | None = None):
        self._cluster, self._method, self._left, self._act = cluster, method, after, act

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cluster, name)
        if name == "patient":
            return lambda *_: self
        if name != self._method:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0 and self._act is None:
                raise InterruptedRunError
            answer = found(*args, **kwargs)
            if self._left == 0 and self._act is not None:
                self._act()
            return answer

        return call


# --- list ---------------------------------------------------------------------------------------------------------


def test_list_says_how_much_each_label_covers(cluster: Cluster, index: str, old: Generator, new: Generator) -> None:
    _write(cluster, index, {"5": {"title": "Red mouse"}})
    _code(cluster, index, "v1", old)
    first, second = list_labels(cluster, index)
    sources = _read(cluster, index)
    for found, generator, coded in ((first, old, 5), (second, new, 4)):
        fields = [source[f"gram_{found.label}"] for source in sources.values() if f"gram_{found.label}" in source]
        assert found.coverage == Coverage(
            products=5,
            coded=coded,
            with_codes=coded - 1,
            codes=sum(len(field["codes"]) for field in fields),
            typed=sum("product_type" in field["attributes"] for field in fields),
            last_coded_at=found.coverage.last_coded_at,
        )
        last = max(field["coded_at"] for field in fields)
        assert found.coverage.last_coded_at == last.replace("+00:00", "Z")
        assert found.state == _state(found.label, generator)
    assert [(found.label, found.is_active, found.is_previous) for found in (first, second)] == [
        ("v1", True, False),
        ("v2", False, False),
    ]
    whole = sum(len(json.dumps(source, separators=(",", ":"))) for source in sources.values())
    part = sum(len(json.dumps(source["gram_v1"], separators=(",", ":"))) for source in sources.values())
    assert first.disk_bytes == pytest.approx(read_store(cluster, index).bytes * part / whole, rel=0.02)


def test_list_on_the_command_line(cluster: Cluster, index: str, opensearch_url: str, old: Generator) -> None:
    promote(cluster, index, "v2")
    done = run("label", "list", "--index", index)
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if line.strip().startswith("v")]
    assert [line.split()[:2] for line in lines] == [["v2", "active"], ["v1", "previous"]]
    found = run("label", "list", "--index", index, "--json").json()["labels"]
    assert [(one["label"], one["active"], one["previous"], one["coded"], one["share"]) for one in found] == [
        ("v2", True, False, 4, 0.75),
        ("v1", False, True, 4, 0.75),
    ]
    assert found[1]["bundle"] == old.bundle.id and found[1]["disk_bytes_estimate"] > 0
    assert opensearch_url


def test_list_without_a_label(cluster: Cluster, make_index: MakeIndex) -> None:
    with pytest.raises(IndexUnfitError, match="has no codes yet; run: gram-os attach"):
        list_labels(cluster, make_index())
    with pytest.raises(IndexMissingError):
        list_labels(cluster, "test-absent")


# --- promote and rollback -----------------------------------------------------------------------------------------


def test_promote_and_back(cluster: Cluster, index: str) -> None:
    others: dict[str, Any] = {"owner": "search team", "gram": {**_meta(cluster, index)["gram"], "later": 7}}
    cluster.put_mapping(index, {"_meta": others})
    before = _read(cluster, index)
    seen: list[LabelSwitch] = []
    switch = promote(cluster, index, "v2", show=seen.append)
    assert seen == [switch]
    assert (switch.changed, switch.before.with_codes, switch.after.with_codes) == ((index,), 3, 3)
    assert _meta(cluster, index) == {**others, "gram": {**others["gram"], "active": "v2", "previous": "v1"}}
    assert promote(cluster, index, "v2").changed == ()
    assert _meta(cluster, index)["gram"]["previous"] == "v1"
    assert roll_back(cluster, index).label == "v1"
    assert _meta(cluster, index) == others
    with pytest.raises(IndexUnfitError, match="no previous label"):
        roll_back(cluster, index)
    assert _read(cluster, index) == before


def test_searches_follow(cluster: Cluster, index: str, opensearch_url: str, old: Generator, new: Generator) -> None:
    assert opensearch_url
    assert run("label", "promote", "v2", "--index", index).code == 0
    assert open_pipeline(cluster, index, generator=new).search("toner", mode=Mode.GRAM).hits
    assert open_pipeline(cluster, index, generator=old, label="v1").search("toner", mode=Mode.GRAM).hits
    with pytest.raises(BundleError, match=f"'v2' of index '{index}' belongs to bundle {new.bundle.id}"):
        open_pipeline(cluster, index, generator=old)
    done = run("search", "toner", "--index", index, "--label", "v9")
    assert done.code == 2 and "has no label 'v9', only v1, v2" in done.err


def test_label_with_few_codes_is_refused(
    cluster: Cluster, index: str, old: Generator, new: Generator, opensearch_url: str
) -> None:
    _write(cluster, index, {f"more{n}": {"title": "Red mouse"} for n in range(97)})
    _code(cluster, index, "v1", old)
    before = _meta(cluster, index)
    text = r"'v2' covers too little .* 3 of 101 products .*3\.0 %.*100 of 101 .*'v1' \(99\.0 %\).*backfill .*--label v2"
    with pytest.raises(IndexUnfitError, match=text):
        promote(cluster, index, "v2")
    assert opensearch_url
    done = run("label", "promote", "v2", "--index", index)
    assert (done.code, _meta(cluster, index)) == (2, before)
    assert "3 (3.0 %)" in done.out and "100 (99.0 %)" in done.out and "covers too little" in done.err
    assert promote(cluster, index, "v2", min_share=0.03).changed == (index,)
    roll_back(cluster, index)
    _code(cluster, index, "v2", new)
    _write(cluster, index, {"more1": {"doc": {"gram_v2": None}}}, op="update")
    assert promote(cluster, index, "v2").changed == (index,)  # 99 of 100: the share is just met


def test_share_must_be_one(cluster: Cluster, index: str) -> None:
    with pytest.raises(Exception, match="between 0 and 1"):
        promote(cluster, index, "v2", min_share=1.5)


def test_rollback_to_a_label_that_fell_behind_is_refused(cluster: Cluster, index: str, new: Generator) -> None:
    promote(cluster, index, "v2")
    _write(cluster, index, {f"more{n}": {"title": "Red mouse"} for n in range(5)})
    _code(cluster, index, "v2", new)
    with pytest.raises(IndexUnfitError, match=r"'v1' covers too little .* 3 of 9 products .*--label v1"):
        roll_back(cluster, index)
    assert _active(cluster, index) == "v2"
    assert roll_back(cluster, index, min_share=0).label == "v1"


def test_labels_that_cannot_be_promoted(cluster: Cluster, index: str) -> None:
    with pytest.raises(IndexUnfitError, match="has no label 'v9', only v1, v2"):
        promote(cluster, index, "v9")
    meta = _meta(cluster, index)
    older = {name: value for name, value in meta["gram"]["labels"]["v2"].items() if name != "format"}
    labels = {**meta["gram"]["labels"], "v2": older}
    cluster.put_mapping(index, {"_meta": {**meta, "gram": {**meta["gram"], "labels": labels}}})
    with pytest.raises(IndexUnfitError, match="attached by an older gram-os"):
        promote(cluster, index, "v2")
    assert _active(cluster, index) == "v1"


def test_label_with_documents_of_another_bundle_is_refused(
    cluster: Cluster, index: str, old: Generator, new: Generator
) -> None:
    with pytest.raises(InterruptedRunError):
        drop_label(Breaking(cluster, "read_documents", 0), index, "v2")  # type: ignore[arg-type]
    attach(cluster, index, _state("v2", old))
    with pytest.raises(
        IndexUnfitError, match=f"belongs to bundle {old.bundle.id}, and .* codes of bundle {new.bundle.id}"
    ):
        promote(cluster, index, "v2")
    _code(cluster, index, "v2", old)
    assert promote(cluster, index, "v2").changed == (index,)


def test_change_of_meta_by_others_at_the_same_time_is_kept(cluster: Cluster, index: str) -> None:
    def meddle() -> None:  # somebody writes what was there before, with a word of their own
        cluster.put_mapping(index, {"_meta": {**before, "owner": "search team"}})

    before = _meta(cluster, index)
    # They come in between our write and our look at what stands there.
    assert promote(Breaking(cluster, "put_mapping", 1, meddle), index, "v2").changed == (index,)  # type: ignore[arg-type]
    after = _meta(cluster, index)
    assert (after["owner"], after["gram"]["active"], after["gram"]["previous"]) == ("search team", "v2", "v1")


def test_meta_that_is_changed_all_the_time(cluster: Cluster, index: str) -> None:
    numbers = iter(range(99))
    with pytest.raises(ClusterError, match=r"somebody else changes _meta .* all the time"):
        change_labels(cluster, index, lambda gram: {**gram, "later": next(numbers)})


def test_alias_of_two_indices(
    cluster: Cluster, index: str, make_index: MakeIndex, old: Generator, new: Generator
) -> None:
    other = _make(cluster, make_index, old, new)
    first, second = sorted((index, other))
    alias = _join(cluster, f"{index}-all", index, other)
    _write(cluster, second, {"5": {"title": "Red mouse"}})
    _code(cluster, second, "v1", old)
    with pytest.raises(IndexUnfitError, match=f"covers too little of index '{second}'"):
        promote(cluster, alias, "v2")
    assert [_active(cluster, name) for name in (first, second)] == ["v1", "v1"]
    _code(cluster, second, "v2", new)

    with pytest.raises(InterruptedRunError):
        promote(Breaking(cluster, "put_mapping", 1), alias, "v2")  # type: ignore[arg-type]
    assert [_active(cluster, name) for name in (first, second)] == ["v2", "v1"]
    with pytest.raises(
        IndexUnfitError, match=f"active label 'v2'.*has 'v1'; choose one: gram-os label promote .*{alias}"
    ):
        read_attachment(cluster, alias)
    assert promote(cluster, alias, "v2").changed == (second,)
    assert (_active(cluster, alias), _meta(cluster, first)["gram"]["previous"]) == ("v2", "v1")

    with pytest.raises(InterruptedRunError):
        roll_back(Breaking(cluster, "put_mapping", 1), alias)  # type: ignore[arg-type]
    assert [_active(cluster, name) for name in (first, second)] == ["v1", "v2"]
    assert roll_back(cluster, alias).changed == (second,)
    assert _active(cluster, alias) == "v1"


def test_promotion_that_was_interrupted_can_be_undone(
    cluster: Cluster, index: str, make_index: MakeIndex, old: Generator, new: Generator
) -> None:
    alias = _join(cluster, f"{index}-all", index, _make(cluster, make_index, old, new))
    with pytest.raises(InterruptedRunError):
        promote(Breaking(cluster, "put_mapping", 1), alias, "v2")  # type: ignore[arg-type]
    assert roll_back(cluster, alias).label == "v1"
    assert _active(cluster, alias) == "v1"


def test_indices_of_an_alias_that_do_not_fit_together(
    cluster: Cluster, index: str, make_index: MakeIndex, old: Generator, new: Generator
) -> None:
    other = make_index()
    _write(cluster, other, DOCUMENTS)
    attach(cluster, other, _state("v1", old))
    alias = _join(cluster, f"{index}-all", index, other)
    with pytest.raises(IndexUnfitError, match=f"'{other}' has no label 'v2'"):
        promote(cluster, alias, "v2")
    attach(cluster, other, _state("v2", old))
    with pytest.raises(
        IndexUnfitError, match=rf"'v2' belongs to bundle .*{old.bundle.id}|{new.bundle.id}.*name one of"
    ):
        promote(cluster, alias, "v2", min_share=0)
    assert {_active(cluster, name) for name in (index, other)} == {"v1"}


def test_new_indices_get_the_labels_as_they_are_now(cluster: Cluster, index: str, make_index: MakeIndex) -> None:
    pattern = f"{index}-*"
    carry_out(cluster, plan_templates(cluster, cluster.get_indices(index)[0], pattern))
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: promote(cluster, index, "v2"),
        lambda: drop_label(cluster, index, "v1"),
    ]
    made = [f"{index}-{number}" for number in range(len(changes))]
    try:
        for name, change in zip(made, changes, strict=True):
            change()
            cluster.create_index(name, {})
        found = [read_attachment(cluster, name) for name in made]
    finally:
        for name in made:
            cluster.delete_index(name)
        for kind in ("_index_template", "_component_template"):
            cluster.request("DELETE", f"/{kind}/{template_name(pattern)}")
    assert [(one.active, sorted(one.labels)) for one in found if one] == [
        ("v1", ["v1", "v2"]),
        ("v2", ["v1", "v2"]),
        ("v2", ["v2"]),
    ]


# --- drop ---------------------------------------------------------------------------------------------------------


def test_drop_takes_out_the_label_and_nothing_else(cluster: Cluster, index: str) -> None:
    before, store = _read(cluster, index), read_store(cluster, index)
    settled: list[int] = []
    promote(cluster, index, "v2")
    meta = _meta(cluster, index)
    report = drop_label(cluster, index, "v1", progress=settled.append)
    assert (report.was_attached, report.documents, report.conflicts, report.refused, report.left) == (True, 4, 0, [], 0)
    assert sum(settled) == 4
    assert report.before.bytes > 0 and report.before.deleted >= store.deleted
    after = _read(cluster, index)
    assert after == {
        id_: {name: value for name, value in source.items() if name != "gram_v1"} for id_, source in before.items()
    }
    kept = {name: value for name, value in meta["gram"]["labels"].items() if name != "v1"}
    assert _meta(cluster, index) == {**meta, "gram": {**meta["gram"], "labels": kept}}
    assert "gram_v1" in cluster.get_mapping(index)["properties"]
    assert cluster.count(index, {"exists": {"field": "gram_v1.codes"}}) == 0
    with pytest.raises(IndexUnfitError, match=r"previous label 'v1' of index .* was dropped; it has v2"):
        roll_back(cluster, index)
    assert [found.label for found in list_labels(cluster, index)] == ["v2"]
    again = drop_label(cluster, index, "v1")
    assert (again.was_attached, again.documents, again.left) == (False, 0, 0)
    assert _read(cluster, index) == after


def test_dropped_label_can_be_attached_again(cluster: Cluster, index: str, new: Generator) -> None:
    drop_label(cluster, index, "v2")
    attach(cluster, index, _state("v2", new))
    assert count_labelled(cluster, index, "v2") == 0
    _code(cluster, index, "v2", new)
    assert promote(cluster, index, "v2").changed == (index,)


def test_drop_is_refused(cluster: Cluster, index: str, make_index: MakeIndex) -> None:
    before = _meta(cluster, index), _read(cluster, index)
    with pytest.raises(IndexUnfitError, match=r"'v1' is the active one .*promote another one first \(v2\)"):
        drop_label(cluster, index, "v1")
    with pytest.raises(IndexUnfitError, match="has no label 'v9', only v1, v2"):
        drop_label(cluster, index, "v9")
    with pytest.raises(IndexUnfitError, match=r"has no label 'v1'$"):
        drop_label(cluster, make_index(), "v1")
    with pytest.raises(IndexMissingError):
        drop_label(cluster, "test-absent", "v1")
    _block(cluster, index, True)
    with pytest.raises(IndexUnfitError, match=r"writing is blocked; lift the block"):
        drop_label(cluster, index, "v2")
    _block(cluster, index, None)
    assert (_meta(cluster, index), _read(cluster, index)) == before


def _block(cluster: Cluster, index: str, value: bool | None) -> None:
    cluster.request("PUT", f"/{index}/_settings", {"index.blocks.write": value})


def test_documents_stay_byte_for_byte(cluster: Cluster, make_index: MakeIndex, old: Generator, new: Generator) -> None:
    properties = {
        "title": {"type": "text"},
        "offers": {"type": "nested", "properties": {"gram_v2": {"type": "keyword"}, "price": {"type": "keyword"}}},
        "raw": {"type": "object", "enabled": False},
    }
    index = make_index(properties=properties)
    text = (
        '{ "title":"HP laptop",\t"offers":[{"price": 1.10, "gram_v2": "mine"}, {"price":1E2}],'
        '"raw": {"gram_v2": {"codes": [1.0]}, "n": 1e400} , "t\\u00e9": "\\u00e9\\ud83d\\ude00", "price" : 10.50 }'
    )
    version = {"version": 1 << 40, "version_type": "external"}
    action = {"op": "index", "index": index, "id": "1", "routing": "r", **version, "body": text}
    assert [item.error for item in cluster.bulk([action])] == [None]
    for label, generator in (("v1", old), ("v2", new)):
        attach(cluster, index, _state(label, generator))
        _code(cluster, index, label, generator)
    (before,) = cluster.read_documents([DocumentKey(index, "1", "r")])
    assert drop_label(cluster, index, "v2").documents == 1
    (after,) = cluster.read_documents([DocumentKey(index, "1", "r")])
    assert before is not None and after is not None and before.source is not None
    at = before.source.index(',"gram_v2":{"codes"')
    assert after.source == before.source[:at] + " }" * before.source.endswith(" }") + "}" * (
        not before.source.endswith(" }")
    )
    assert after.source.startswith(text.rstrip("} "))
    assert after.version == before.version == 1 << 40


def test_codes_of_any_shape_go(cluster: Cluster, index: str) -> None:
    odd: dict[str, dict[str, Any]] = {
        "5": {"title": "a", "gram_v2": {"codes": ["by hand"]}},
        "6": {"title": "b", "gram_v2.codes": ["flattened"], "gram_v2.attributes.brand": "hp"},
        "7": {"title": "c", "gram_v2": {"attributes": {"colour": ["red"]}}},
    }
    _write(cluster, index, odd)
    assert drop_label(cluster, index, "v2").documents == 4 + 3
    found = _read(cluster, index)
    assert [found[id_] for id_ in odd] == [{"title": "a"}, {"title": "b"}, {"title": "c"}]


def test_writers_lose_nothing_during_a_drop(
    cluster: Cluster, make_index: MakeIndex, old: Generator, new: Generator
) -> None:
    index = make_index(settings={"number_of_shards": 2, "number_of_replicas": 0})
    ids = [str(number) for number in range(1500)]
    _write(cluster, index, {id_: {"title": f"Red mouse {id_}", "stock": 0} for id_ in ids})
    for label, generator in (("v1", old), ("v2", new)):
        attach(cluster, index, _state(label, generator))
        _code(cluster, index, label, generator)
    written, stop = dict.fromkeys(ids, 0), threading.Event()

    def change() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            some = ids[(17 * turn) % 1400 :][:50]
            update = {"op": "update", "index": index, "retry_on_conflict": 9, "body": {"doc": {"stock": turn}}}
            assert [item.error for item in cluster.bulk([{**update, "id": id_} for id_ in some])] == [None] * len(some)
            written.update(dict.fromkeys(some, turn))

    writer = threading.Thread(target=change)
    writer.start()
    try:
        report = drop_label(cluster, index, "v2", rate=2000)
    finally:
        stop.set()
        writer.join()
    assert (report.left, report.refused) == (0, [])
    assert report.conflicts > 0
    found = _read(cluster, index)
    assert {id_: source["stock"] for id_, source in found.items()} == written
    assert all(source["title"] == f"Red mouse {id_}" for id_, source in found.items())
    assert all("gram_v2" not in source and source["gram_v1"]["codes"] for source in found.values())


def test_document_deleted_meanwhile_stays_deleted(cluster: Cluster, index: str) -> None:
    def delete() -> None:
        assert [item.ok for item in cluster.bulk([{"op": "delete", "index": index, "id": "3"}])] == [True]

    report = drop_label(Breaking(cluster, "read_documents", 1, delete), index, "v2")  # type: ignore[arg-type]
    assert (report.documents, report.left) == (3, 0)
    assert set(_read(cluster, index)) == {"1", "2", "4"}


@pytest.mark.parametrize(("method", "calls"), [("read_documents", 0), ("bulk", 1), ("put_mapping", 1)])
def test_second_drop_finishes(
    cluster: Cluster, make_index: MakeIndex, old: Generator, new: Generator, method: str, calls: int
) -> None:
    indices = [_make(cluster, make_index, old, new) for _ in range(2)]
    alias = _join(cluster, f"{indices[0]}-all", *indices)
    with pytest.raises(InterruptedRunError):
        drop_label(Breaking(cluster, method, calls), alias, "v2")  # type: ignore[arg-type]
    assert any("v2" not in _meta(cluster, name)["gram"]["labels"] for name in indices)
    if method != "put_mapping":
        found = {one.label: one for one in list_labels(cluster, max(indices))}
        assert found["v2"].state is None and found["v2"].coverage.coded == 4
    assert drop_label(cluster, alias, "v2").left == 0
    for name in indices:
        assert list(_meta(cluster, name)["gram"]["labels"]) == ["v1"]
        assert all("gram_v2" not in source for source in _read(cluster, name).values())


def test_letters_and_positions_of_the_label_go(
    cluster: Cluster, index: str, make_index: MakeIndex, old: Generator, new: Generator
) -> None:
    other = _make(cluster, make_index, old, new)
    letters, records = DeadLetters(cluster), open_state(cluster)
    for name in (index, other):
        for label in ("v1", "v2"):
            letters.put(label, [Refusal(DocumentKey(name, "9"), "has no title")])
    assert drop_label(cluster, index, "v2").letters == 1
    left = [(letter.key.index, letter.label) for letter in letters.list(indices=[index, other])]
    assert sorted(left) == sorted([(index, "v1"), (other, "v1"), (other, "v2")])
    uuids = {
        name: cluster.request("GET", f"/{name}/_settings")[name]["settings"]["index"]["uuid"] for name in (index, other)
    }
    for name, label, generator, is_there in (
        (index, "v1", old, True), (index, "v2", new, False), (other, "v2", new, True),
    ):  # fmt: skip
        position = Positions(records, _state(label, generator)).read(f"{uuids[name]}.0")
        assert (position >= 0) == is_there, (name, label)


def test_document_that_cannot_be_written_back_is_named(
    cluster: Cluster, make_index: MakeIndex, old: Generator, new: Generator, opensearch_url: str
) -> None:
    # The mapping has been closed since the document was coded.
    index = make_index(properties={"title": {"type": "text"}})
    cluster.put_mapping(index, {"dynamic": "false"})
    _write(cluster, index, {"1": {"title": "HP", "colour": "red"}, "2": {"title": "Xerox"}})
    for label, generator in (("v1", old), ("v2", new)):
        attach(cluster, index, _state(label, generator))
        _code(cluster, index, label, generator)
    cluster.put_mapping(index, {"dynamic": "strict"})
    assert opensearch_url
    done = run("label", "drop", "v2", "--index", index, "--json")
    assert done.code == 3
    found = done.json()
    assert (found["documents"], found["left"], [one["id"] for one in found["refused"]]) == (1, 1, ["1"])
    assert "[colour] within [_doc] is not allowed" in found["refused"][0]["reason"]


def test_drop_on_the_command_line(
    cluster: Cluster, index: str, opensearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_os.ingest.versions.drop._KEPT_S", 1.0)
    assert opensearch_url
    done = run("label", "drop", "v2", "--index", index, "--expunge")
    assert done.code == 0, done.err
    assert "the codes of 'v2' are out of 4 documents" in done.out
    assert "before" in done.out and "after the merge" in done.out
    assert "'gram_v2' stays in the mapping" in done.out
    again = run("label", "drop", "v2", "--index", index)
    assert again.code == 0 and "was taken out of the labels before" in again.out
    assert run("label", "drop", "v1", "--index", index).code == 2


class Slow:
    """A coder that codes one product at a time, and rests after each."""

    def __init__(self, generator: Generator):
        self.bundle, self._generator = generator.bundle, generator
        self.started = threading.Event()

    def code_products(self, products: Iterator[Product]) -> Iterator[CodedText]:
        for product in products:
            self.started.set()
            time.sleep(0.02)
            yield from self.code_batch([product])

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        return self._generator.code_batch(products)


def test_backfill_that_runs_is_ended(cluster: Cluster, index: str, new: Generator) -> None:
    _write(cluster, index, {f"more{n}": {"title": f"Red mouse {n}"} for n in range(1500)})
    coder = Slow(new)
    worker = threading.Thread(target=lambda: backfill(cluster, index, _state("v2", new), coder))  # type: ignore[arg-type]
    worker.start()
    coder.started.wait(30)
    assert drop_label(cluster, index, "v2").left == 0
    worker.join(1)
    assert not worker.is_alive()
    assert count_labelled(cluster, index, "v2") == 0


def test_watch_that_runs_is_waited_for(
    cluster: Cluster, index: str, new: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gram_os.ingest.watch._META_S", 1.0)
    watch, stop, gone = Watch(cluster, index, _state("v2", new), new), threading.Event(), []

    def follow() -> None:
        try:
            watch.run(stop)
        except LabelGoneError as error:
            gone.append(str(error))

    follower = threading.Thread(target=follow)
    follower.start()
    _write(cluster, index, {"5": {"title": "Red mouse"}})
    while watch.status.coded < 1 and follower.is_alive():
        time.sleep(0.05)
    report = drop_label(cluster, index, "v2")
    follower.join(20)
    assert len(gone) == 1 and report.left == 0
    assert count_labelled(cluster, index, "v2") == 0
