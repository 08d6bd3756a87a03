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
    assert "strict_dynamic_mapping_exception" in str(_write(cluster, index, {"gram_v1": {"code": ["x"]}}))


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


def test_field_that_is_taken_by_another(cluster: Cluster, make_index: MakeIndex) -> None:
    index = make_index(properties={"title": {"type": "text"}, "gram_v1": {"type": "keyword"}})
    with pytest.raises(IndexUnfitError, match="gram_v1"):
        attach(cluster, index, V1)


def test_codes_come_back_in_the_order_in_which_they_are_packed(cluster: Cluster, make_index: MakeIndex) -> None:
    # Doc values are sorted by UTF-8 bytes; U+FA0E and U+20000 would swap places in UTF-16.
    index = make_index()
    attach(cluster, index, V1)
    codes = ["𠀀", "﨎", "zoo", "é", "a | b", "a-b", "a b", "a", "Z", "~", "ש"]
    assert _write(cluster, index, {"title": "x", "gram_v1": {"codes": codes}}) is None
    cluster.refresh(index)
    body = {"query": {"match_all": {}}, "docvalue_fields": ["gram_v1.codes"]}
    (hit,) = cluster.search(index, body)["hits"]["hits"]
    assert hit["fields"]["gram_v1.codes"] == sorted(codes, key=str.encode)
