"""Attaching labels to real mappings: what the cluster takes, keeps and gives back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import Attachment, LabelState, attach, read_attachment, require_label
from gram_os.errors import IndexMissingError, IndexUnfitError
from tests.conftest import MakeIndex

pytestmark = pytest.mark.integration

V1 = LabelState("v1", "a" * 12, "title")


def _write(cluster: Cluster, index: str, body: dict[str, Any]) -> str | None:
    (item,) = cluster.bulk([{"op": "index", "index": index, "id": "1", "body": body}])
    return item.error


def test_attached_labels_can_be_read_back(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index(meta={"owner": "search team"})
    assert read_attachment(cluster, index) is None
    attach(cluster, index, V1)
    second = LabelState("v2", "b" * 12, "title")
    attach(cluster, index, second)
    assert read_attachment(cluster, index) == Attachment("v1", {"v1": V1, "v2": second})
    assert require_label(cluster, index) == V1
    assert require_label(cluster, index, "v2") == second
    mapping = cluster.get_mapping(index)
    assert mapping["_meta"]["owner"] == "search team"
    assert mapping["properties"]["title"] == {"type": "text", "analyzer": "english"}


def test_attaching_twice_changes_nothing(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    attach(cluster, index, V1)
    before = cluster.get_mapping(index)
    attach(cluster, index, V1)
    assert cluster.get_mapping(index) == before


def test_another_bundle_under_the_same_label_leaves_the_mapping_alone(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    attach(cluster, index, V1)
    before = cluster.get_mapping(index)
    with pytest.raises(IndexUnfitError, match="choose another --label"):
        attach(cluster, index, replace(V1, bundle="b" * 12))
    assert cluster.get_mapping(index) == before


@pytest.mark.parametrize("dynamic", ["strict", "false"])
def test_mappings_that_are_closed_take_the_fields(cluster: Cluster, make_index: MakeIndex, dynamic: str) -> None:
    index = make_index()
    cluster.put_mapping(index, {"dynamic": dynamic})
    attach(cluster, index, V1)
    fields = {
        "codes": ["toner"],
        "attributes": {"product_type": ["toner"]},
        "weights": [{"toner": 0.5}],
        "probabilities": "Cw==",
        "source": "0",
        "coded_at": "2026-11-22T08:30:00+00:00",
    }
    assert _write(cluster, index, {"title": "x", "gram_v1": fields}) is None
    cluster.refresh(index)
    found = cluster.search(index, {"query": {"term": {"gram_v1.codes": "toner"}}})
    assert [hit["_source"]["gram_v1"] for hit in found["hits"]["hits"]] == [fields]


def test_code_fields_are_strict(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    attach(cluster, index, V1)
    for fields in ({"code": ["x"]}, {"attributes": {"flavour": ["x"]}}):
        assert "strict_dynamic_mapping_exception" in str(_write(cluster, index, {"gram_v1": fields}))


def test_probabilities_and_source_are_not_searched_by(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    attach(cluster, index, V1)
    properties = cluster.get_mapping(index)["properties"]["gram_v1"]["properties"]
    assert properties["source"] == {"type": "keyword", "index": False}
    assert properties["probabilities"] == {"type": "binary", "doc_values": True}


def test_label_that_is_not_there_names_those_that_are(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    with pytest.raises(IndexUnfitError, match=f"'{index}' has no codes yet; run: gram-os attach --index {index}"):
        require_label(cluster, index)
    attach(cluster, index, V1)
    with pytest.raises(IndexUnfitError, match="no label 'v9', only v1"):
        require_label(cluster, index, "v9")


def test_missing_index(cluster: Cluster) -> None:
    for act in (lambda: attach(cluster, "test-absent", V1), lambda: require_label(cluster, "test-absent")):
        with pytest.raises(IndexMissingError, match="'test-absent' does not exist"):
            act()


def _attach_older(cluster: Cluster, index: str) -> None:
    """Attach the label v1 as gram-os did before there were attributes."""
    keyword = {"type": "keyword"}
    parts = {
        "codes": keyword, "weights": {"type": "rank_features"}, "probabilities": {"type": "binary", "doc_values": True},
        "source": {**keyword, "index": False}, "coded_at": {"type": "date"},
    }  # fmt: skip
    meta = {"gram": {"active": "v1", "labels": {"v1": {"bundle": V1.bundle, "title_field": "title"}}}}
    cluster.put_mapping(index, {"_meta": meta, "properties": {"gram_v1": {"dynamic": "strict", "properties": parts}}})


def test_label_of_an_older_gram_os_is_refused_and_left_alone(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    _attach_older(cluster, index)
    before = cluster.get_mapping(index)
    for act in (lambda: attach(cluster, index, V1), lambda: require_label(cluster, index)):
        with pytest.raises(IndexUnfitError, match=f"older gram-os.*--index {index} --label NEW"):
            act()
    assert cluster.get_mapping(index) == before
    # The fields alone tell, too: a template may have brought them without `_meta`.
    cluster.put_mapping(index, {"_meta": {}})
    with pytest.raises(IndexUnfitError, match=f"'gram_v1' is of an older gram-os.*--index {index} --label NEW"):
        attach(cluster, index, V1)


def test_new_label_beside_one_of_an_older_gram_os_works(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index()
    _attach_older(cluster, index)
    assert _write(cluster, index, {"title": "x", "gram_v1": {"codes": ["toner"], "weights": [{"toner": 0.5}]}}) is None
    second = LabelState("v2", "b" * 12, "title")
    attach(cluster, index, second)
    assert read_attachment(cluster, index) == Attachment("v1", {"v1": replace(V1, format=1), "v2": second})
    assert require_label(cluster, index, "v2") == second
    with pytest.raises(IndexUnfitError, match=r"label 'v1' .*older gram-os"):
        require_label(cluster, index)  # the active one
    meta = cluster.get_mapping(index)["_meta"]
    meta["gram"]["active"] = "v2"
    cluster.put_mapping(index, {"_meta": meta})
    assert require_label(cluster, index) == second


def test_field_that_is_taken_by_another(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index(properties={"title": {"type": "text"}, "gram_v1": {"type": "keyword"}})
    with pytest.raises(IndexUnfitError, match="gram_v1"):
        attach(cluster, index, V1)


def test_names_of_weights_come_back_as_they_are_packed(cluster: Cluster, make_index: MakeIndex) -> None:
    # U+FA0E and U+20000 would swap places in UTF-16.
    index = make_index()
    attach(cluster, index, V1)
    names = ["𠀀", "﨎", "zoo", "é", "a | b", "a-b", "a b", "a", "Z", "~", "ש", "3·5"]
    assert _write(cluster, index, {"title": "x", "gram_v1": {"weights": [dict.fromkeys(names, 0.5)]}}) is None
    cluster.refresh(index)
    (hit,) = cluster.search(index, {"query": {"match_all": {}}, "fields": ["gram_v1.weights"]})["hits"]["hits"]
    (weights,) = hit["fields"]["gram_v1.weights"]
    assert sorted(weights, key=str.encode) == sorted(names, key=str.encode)


@pytest.mark.parametrize("part", ["codes", "attributes.brand"])
def test_codes_and_attributes_are_counted_and_filtered_by(cluster: Cluster, make_index: MakeIndex, part: str) -> None:
    index = make_index()
    attach(cluster, index, V1)
    for id_, values in (("1", ["hp", "hp | laptop"]), ("2", ["hp"])):
        fields = {"codes": values, "attributes": {"brand": values}}
        (item,) = cluster.bulk([{"op": "index", "index": index, "id": id_, "body": {"gram_v1": fields}}])
        assert item.ok
    cluster.refresh(index)
    field = f"gram_v1.{part}"
    body = {"query": {"term": {field: "hp | laptop"}}, "aggs": {"counts": {"terms": {"field": field}}}}
    found = cluster.search(index, body)
    assert [hit["_id"] for hit in found["hits"]["hits"]] == ["1"]
    assert {b["key"]: b["doc_count"] for b in found["aggregations"]["counts"]["buckets"]} == {"hp": 1, "hp | laptop": 1}
