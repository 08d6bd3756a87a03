"""`gram-os load` on a real node: what is in the index afterwards, and what is refused."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gram_os.cli.main import main
from gram_os.cluster.bulk import BulkItem
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import FIELD_KINDS
from gram_os.errors import FileFormatError, IndexUnfitError, InputError
from gram_os.loading.load import LoadReport, Source, load_products, survey_source
from gram_os.loading.survey import Survey

pytestmark = pytest.mark.integration

PRODUCTS: list[dict[str, Any]] = [
    {
        "id": "1",
        "title": "Running shoes",
        "brand": "Nike",
        "price": 100,
        "colour": ["red", "blue"],
        "sale": True,
    },
    {"id": "2", "title": "Walking shoe", "brand": "Nike", "price": 79.5, "released": "2026-11-22T08:30:00Z"},
    {
        "id": "3",
        "title": "Sandal",
        "brand": "Teva",
        "price": 60,
        "size": {"eu": 42},
        "about": "For the beach. " * 9,
    },
]


@pytest.fixture
def index(cluster: Cluster) -> Iterator[str]:
    """Name of an index that is not there yet, deleted afterwards."""
    name = f"test-load-{uuid.uuid4().hex}"
    yield name
    if cluster.index_exists(name):
        cluster.delete_index(name)


def _write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "products.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _load(cluster: Cluster, index: str, source: Source, items: list[BulkItem] | None = None) -> LoadReport:
    kept = [] if items is None else items
    return load_products(cluster, index, source, survey_source(source), on_item=kept.append)


def _ids(cluster: Cluster, index: str, query: dict[str, Any]) -> set[str]:
    answer = cluster.search(index, {"query": query, "_source": False})
    return {hit["_id"] for hit in answer["hits"]["hits"]}


def test_loaded_products_can_be_searched_filtered_and_counted(cluster: Cluster, index: str, tmp_path: Path) -> None:
    report = _load(cluster, index, Source(_write(tmp_path, PRODUCTS)))
    assert report == LoadReport(index, True, 3, 0, 0, ())
    assert _ids(cluster, index, {"match": {"title": "shoe"}}) == {"1", "2"}  # stemmed
    assert _ids(cluster, index, {"term": {"title.raw": "Walking shoe"}}) == {"2"}
    assert _ids(cluster, index, {"term": {"colour": "blue"}}) == {"1"}
    assert _ids(cluster, index, {"range": {"price": {"gt": 79, "lt": 80}}}) == {"2"}
    assert _ids(cluster, index, {"range": {"released": {"gte": "2026-11-22", "lt": "2026-11-23"}}}) == {"2"}
    assert _ids(cluster, index, {"term": {"sale": True}}) == {"1"}
    assert _ids(cluster, index, {"term": {"size.eu": "42"}}) == {"3"}
    assert _ids(cluster, index, {"match": {"about.text": "beaches"}}) == {"3"}
    counted = cluster.search(index, {"size": 0, "aggs": {"b": {"terms": {"field": "brand"}}}})
    assert {b["key"]: b["doc_count"] for b in counted["aggregations"]["b"]["buckets"]} == {
        "Nike": 2,
        "Teva": 1,
    }
    (hit,) = cluster.search(index, {"query": {"ids": {"values": ["1"]}}})["hits"]["hits"]
    assert hit["_source"] == PRODUCTS[0]


def test_loading_again_replaces_and_doubles_nothing(cluster: Cluster, index: str, tmp_path: Path) -> None:
    _load(cluster, index, Source(_write(tmp_path, PRODUCTS)))
    changed = [{**PRODUCTS[0], "title": "Racing shoes"}, {"id": "4", "title": "Boot"}]
    report = _load(cluster, index, Source(_write(tmp_path, changed)))
    assert report == LoadReport(index, False, 2, 1, 0, ())
    assert cluster.count(index) == 4
    assert _ids(cluster, index, {"match": {"title": "racing"}}) == {"1"}


def test_thousands_of_attributes_are_all_fields(cluster: Cluster, index: str, tmp_path: Path) -> None:
    rows = [{"id": str(n), "title": "Nut", **{f"attr_{n * 100 + k}": f"v{k}" for k in range(100)}} for n in range(30)]
    assert _load(cluster, index, Source(_write(tmp_path, rows))).written == 30
    assert _ids(cluster, index, {"term": {"attr_2999": "v99"}}) == {"29"}
    assert _ids(cluster, index, {"term": {"attr_0": "v0"}}) == {"0"}


def test_fields_that_come_later_are_mapped_without_loss(cluster: Cluster, index: str, tmp_path: Path) -> None:
    _load(cluster, index, Source(_write(tmp_path, [{"id": "1", "title": "Nut"}])))
    later = [
        {"id": "2", "title": "Bolt", "width": 12, "seen": "2026-11-22", "note": "steel"},
        {"id": "3", "title": "Bolt", "width": 12.5, "seen": "never", "note": "brass plated"},
    ]
    assert _load(cluster, index, Source(_write(tmp_path, later))).refused == 0
    assert _ids(cluster, index, {"range": {"width": {"gt": 12}}}) == {"3"}
    assert _ids(cluster, index, {"term": {"seen": "never"}}) == {"3"}
    assert _ids(cluster, index, {"match": {"note.text": "plated"}}) == {"3"}


def test_rare_fields_beyond_the_limit_are_kept_and_named(cluster: Cluster, index: str, tmp_path: Path) -> None:
    source = Source(_write(tmp_path, PRODUCTS))
    survey = Survey(3, {"brand": "keyword"}, ("price", "colour"))
    report = load_products(cluster, index, source, survey, on_item=lambda _: None)
    assert report.unmapped == ("price", "colour")
    assert set(cluster.get_mapping(index)["properties"]) == {"brand", "title"}
    (hit,) = cluster.search(index, {"query": {"ids": {"values": ["1"]}}})["hits"]["hits"]
    assert hit["_source"]["price"] == 100


def test_refused_products_are_named_and_the_others_written(
    cluster: Cluster, make_index: Callable[..., str], tmp_path: Path
) -> None:
    index = make_index(properties={"title": {"type": "text"}, "price": {"type": "float"}})
    rows = [*PRODUCTS, {"id": "4", "title": "Boot", "price": "cheap"}]
    items: list[BulkItem] = []
    report = _load(cluster, index, Source(_write(tmp_path, rows)), items)
    assert (report.written, report.refused) == (3, 1)
    (refused,) = [item for item in items if item.error is not None]
    assert refused.id == "4"
    assert "price" in str(refused.error)
    assert cluster.count(index) == 3


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"name": {"type": "text"}}, "it has no field 'title'"),
        ({"title": {"type": "keyword"}}, "its field 'title' is of type keyword"),
        ({"title": {"properties": {"en": {"type": "text"}}}}, "its field 'title' is of type object"),
    ],
)
def test_index_without_a_text_title_is_refused(
    cluster: Cluster, make_index: Callable[..., str], tmp_path: Path, properties: dict[str, Any], says: str
) -> None:
    index = make_index(properties=properties)
    with pytest.raises(IndexUnfitError, match=says):
        _load(cluster, index, Source(_write(tmp_path, PRODUCTS)))
    assert cluster.count(index) == 0


@pytest.mark.parametrize("block", ["write", "read_only_allow_delete"])
def test_read_only_index_is_refused_with_the_cure(
    cluster: Cluster, make_index: Callable[..., str], tmp_path: Path, block: str
) -> None:
    # `read_only_allow_delete` is what the cluster sets itself when a disk is full.
    index = make_index(settings={"number_of_shards": 1, "number_of_replicas": 0, f"blocks.{block}": True})
    text = (
        f"'{index}' takes no writes.* 0 products were written.* lift the block .*index.blocks.{block}.* command again"
    )
    with pytest.raises(IndexUnfitError, match=text):
        _load(cluster, index, Source(_write(tmp_path, PRODUCTS)))


def test_fault_in_the_last_line_is_found_before_anything_is_written(
    cluster: Cluster, index: str, tmp_path: Path
) -> None:
    path = _write(tmp_path, [*PRODUCTS, {"id": "4"}])
    with pytest.raises(FileFormatError, match=r"line 4, field 'title'"):
        _load(cluster, index, Source(path))
    assert not cluster.index_exists(index)


def test_every_kind_of_field_is_one_the_cluster_takes(cluster: Cluster, index: str, tmp_path: Path) -> None:
    kinds = {kind: kind for kind in FIELD_KINDS}
    values: list[object] = ["red", "long text", "text", 1, 1.5, True, "2026-11-22", {"a": "b"}, "scalar"]
    rows: list[dict[str, Any]] = [
        {"id": "1", "title": "Nut", **dict(zip(kinds, values, strict=True))},
        {"id": "2", "title": "Bolt", "mixed": {"a": [1]}},
    ]
    source = Source(_write(tmp_path, rows))
    report = load_products(cluster, index, source, Survey(2, kinds, ()), on_item=lambda _: None)
    assert (report.written, report.refused) == (2, 0)


def test_titles_of_every_sort_are_loaded(cluster: Cluster, index: str, tmp_path: Path) -> None:
    titles = [
        "x" * 100_000,
        "wide " * 20_000,
        "طابعة ليزر",
        "🖨️👟",
        "a\u0000b",
        "\u202egnp.exe",
        "' OR 1=1 --",
    ]
    rows = [{"id": f"ü/{n}?#", "title": title} for n, title in enumerate(titles)]
    report = _load(cluster, index, Source(_write(tmp_path, rows)))
    assert (report.written, report.refused) == (len(titles), 0)
    assert _ids(cluster, index, {"match": {"title": "طابعة"}}) == {"ü/2?#"}


def test_standard_input_is_loaded_without_a_survey(
    cluster: Cluster, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO(b'{"id": 1, "title": "Nut", "width": 12}\n{"id": 2, "title": "Bolt", "width": "3"}\n')

    monkeypatch.setattr("sys.stdin", Stdin)
    report = _load(cluster, index, Source("-", fields={"width": "float"}))
    assert (report.written, report.created_index) == (2, True)
    assert cluster.get_mapping(index)["properties"]["width"] == {"type": "double"}


def test_second_title_column_is_refused(cluster: Cluster, index: str, tmp_path: Path) -> None:
    path = _write(tmp_path, [{"id": "1", "name": "Nut", "title": "Dr"}])
    with pytest.raises(InputError, match="'1' has a column 'title' beside"):
        _load(cluster, index, Source(path, title_field="name"))


def test_verb_writes_json_and_exit_codes(
    cluster: Cluster,
    index: str,
    make_index: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("sku,name,price\n1,Nut,1.5\n2,Bolt,2\n", encoding="utf-8")
    columns = ["--id-field", "sku", "--title-field", "name"]
    where = ["--url", cluster.url, "--json"]
    assert main(["load", str(path), "--index", index, *columns, "--field", "price=float", *where]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["written"], printed["created_index"]) == (2, True)
    assert _ids(cluster, index, {"range": {"price": {"lt": 1.9}}}) == {"1"}
    (hit,) = cluster.search(index, {"query": {"ids": {"values": ["2"]}}})["hits"]["hits"]
    assert hit["_source"] == {"sku": "2", "title": "Bolt", "price": 2.0}

    narrow = make_index(properties={"title": {"type": "text"}, "price": {"type": "byte"}})
    path.write_text("sku,name,price\n1,Nut,1\n2,Bolt,999\n", encoding="utf-8")
    assert main(["load", str(path), "--index", narrow, *columns, *where]) == 3
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert (printed["written"], printed["refused"], printed["refusals"][0]["id"]) == (1, 1, "2")
    assert "refused: product '2'" in captured.err

    assert main(["load", str(tmp_path / "no.csv"), "--index", index, *where]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["type"] == "FileFormatError"
    assert main(["load", str(path), "--index", index, "--field", "price", *where]) == 2
    assert "name=type" in json.loads(capsys.readouterr().err)["error"]["message"]
