"""Bodies by what they must hold; that the cluster takes them is the integration tests' matter."""

from __future__ import annotations

import json

import pytest

from gram_os.cluster.dsl import (
    FIELD_KINDS,
    build_code_mapping,
    build_codes_query,
    build_count,
    build_ids_query,
    build_index_body,
    build_search,
    build_text_query,
    code_field,
    feature_name,
)
from gram_os.text.attribute import AttributeType
from tests.weights import build_weights

RED = {"term": {"colour": "red"}}
CHEAP = {"range": {"price": {"lt": 5}}}


def test_codes_query_adds_up_products_of_weights_and_finds_codes_without_one() -> None:
    weights = {"toner": 2.5, "3.5 mm | jack": 1.123456789}
    assert build_codes_query("gram_v1.codes", "gram_v1.weights", weights, ["toner | xerox", "3.5 mm"]) == {
        "bool": {
            "should": [
                {"rank_feature": {"field": "gram_v1.weights.toner", "linear": {}, "boost": 2.5}},
                {"rank_feature": {"field": "gram_v1.weights.3·5 mm | jack", "linear": {}, "boost": 1.12346}},
                {"terms": {"gram_v1.codes": ["toner | xerox", "3.5 mm"], "boost": 0.0001}},
            ],
            "minimum_should_match": 1,  # with a filter beside it, `should` would be optional
        }
    }


def test_codes_query_without_codes_or_without_weights() -> None:
    for weights, codes in (({"toner": 2.5}, []), ({}, ["toner"])):
        assert len(build_codes_query("gram_v1.codes", "gram_v1.weights", weights, codes)["bool"]["should"]) == 1


def test_a_lexical_clause_joins_the_sum() -> None:
    words = build_text_query("title", "toner", 0.12)
    found = build_codes_query("gram_v1.codes", "gram_v1.weights", {"toner": 2.5}, ["toner"], words)["bool"]
    alone = build_codes_query("gram_v1.codes", "gram_v1.weights", {"toner": 2.5}, ["toner"])["bool"]
    assert found == {"should": [*alone["should"], words], "minimum_should_match": 1}
    assert words == {"match": {"title": {"query": "toner", "boost": 0.12}}}
    assert build_codes_query("c", "w", {}, [], words)["bool"]["should"] == [words]


def test_weights_are_a_list_which_a_partial_update_replaces() -> None:
    assert build_weights({"toner": 1, "black | toner": 0.123456}) == [{"toner": 1, "black | toner": 0.12346}]
    assert build_weights({}) == [{}]


def test_two_codes_of_one_feature_count_as_the_heavier() -> None:
    assert build_weights({"3.5": 0.7, "3·5": 0.2, "a·b": 0.1, "a.b": 0.3}) == [{"3·5": 0.7, "a·b": 0.3}]
    assert feature_name("3.5 | 7.1.2") == "3·5 | 7·1·2"


def test_text_query() -> None:
    assert build_text_query("name.en", 'a "b"') == {"match": {"name.en": {"query": 'a "b"'}}}


def test_search_without_filters_is_the_query_itself() -> None:
    body = build_search(RED, 300)
    assert body["query"] == RED
    assert (body["size"], body["_source"], body["fields"]) == (300, False, [])
    assert body["track_total_hits"] is False  # counting would cost what skipping saves


def test_filters_do_not_score() -> None:
    body = build_search(build_text_query("title", "x"), 10, filters=(RED, CHEAP))
    assert body["query"] == {"bool": {"must": [{"match": {"title": {"query": "x"}}}], "filter": [RED, CHEAP]}}


def test_search_pages_by_offset() -> None:
    assert (build_search(RED, 10, start=20)["from"], build_search(RED, 10)["from"]) == (20, 0)


def test_ids_query_scores_by_another_query_and_by_nothing_else() -> None:
    named = {"ids": {"values": ["2", "1"]}}
    assert build_ids_query(["2", "1", "2"], RED) == {"bool": {"filter": [named], "should": [RED]}}
    assert build_ids_query(["2", "1"]) == {"bool": {"filter": [named], "should": []}}


def test_search_asks_for_fields() -> None:
    body = build_search(RED, 3, fields=("a", "b"), source=["title"])
    assert (body["fields"], body["_source"]) == (["a", "b"], ["title"])


def test_count_takes_no_hits_and_counts_all() -> None:
    assert build_count(RED) == {"query": RED, "size": 0, "track_total_hits": True}


def test_fields_of_a_label() -> None:
    assert code_field("v1") == "gram_v1"
    (found,) = build_code_mapping("v1").values()
    assert found["dynamic"] == "strict"
    attributes = found["properties"].pop("attributes")
    assert attributes["dynamic"] == "strict"
    assert attributes["properties"] == {kind.value: {"type": "keyword"} for kind in AttributeType}
    kinds = {name: (kind["type"], kind.get("index", True)) for name, kind in found["properties"].items()}
    assert kinds == {
        "codes": ("keyword", True),
        "weights": ("rank_features", True),
        "probabilities": ("binary", True),
        "source": ("keyword", False),
        "title_hash": ("keyword", False),
        "coded_at": ("date", True),
        "edits": ("keyword", True),
    }
    assert found["properties"]["probabilities"]["doc_values"] is True


def test_index_body_has_room_for_fields_to_come() -> None:
    body = build_index_body({f"f{n}": "keyword" for n in range(5000)})
    assert body["settings"]["index"]["mapping"]["total_fields"]["limit"] == 2 * 5000 + 1000
    assert body["mappings"]["dynamic"] is True


@pytest.mark.parametrize("kind", FIELD_KINDS)
def test_index_body_of_each_kind(kind: str) -> None:
    body = build_index_body({"f": kind}, dynamic=False)
    assert body["mappings"]["properties"]["f"] == FIELD_KINDS[kind]
    assert body["mappings"]["properties"]["title"]["fields"]["raw"]["type"] == "keyword"
    assert body["mappings"]["dynamic"] is False
    assert json.loads(json.dumps(body)) == body


def test_bodies_share_nothing_with_what_they_are_made_from() -> None:
    query = dict(RED)
    body = build_search(query, 1)
    body["query"]["added"] = 1
    build_index_body({"f": "keyword"})["mappings"]["properties"]["f"]["added"] = 1
    assert query == RED
    assert "added" not in FIELD_KINDS["keyword"]
