"""UBI logs on a real node, in the mappings of the UBI plugin: what becomes of their events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from gram_os.catalogue import Click
from gram_os.cluster.client import Cluster
from gram_os.errors import IndexMissingError, InputError
from gram_os.loading.ubi import read_ubi_clicks
from gram_os.train.lessons.clicks import feedback_from_clicks
from tests.conftest import MakeIndex

pytestmark = pytest.mark.integration

KEYWORD = {"type": "keyword"}
QUERY_FIELDS: dict[str, object] = {
    "timestamp": {"type": "date"},
    "query_id": KEYWORD,
    "query_response_hit_ids": KEYWORD,
    "user_query": {"type": "text", "fields": {"keyword": KEYWORD}},
}
EVENT_FIELDS: dict[str, object] = {
    "action_name": KEYWORD,
    "timestamp": {"type": "date"},
    "event_attributes": {
        "properties": {
            "position": {"properties": {"ordinal": {"type": "integer"}}},
            "object": {"properties": {"object_id": KEYWORD, "internal_id": KEYWORD}},
        }
    },
}
DAY = "2026-11-20T10:00:00Z"
Log = Callable[..., tuple[str, str]]


@pytest.fixture
def log(cluster: Cluster, make_index: MakeIndex) -> Log:
    """Writes searches and events into two new indices; their names."""

    def write(searches: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]]) -> tuple[str, str]:
        names = make_index(properties=QUERY_FIELDS), make_index(properties=EVENT_FIELDS)
        for name, rows in zip(names, (searches, events), strict=True):
            actions = [{"op": "index", "index": name, "id": str(n), "body": row} for n, row in enumerate(rows)]
            assert [item.error for item in cluster.bulk(actions) if not item.ok] == []
            cluster.refresh(name)
        return names

    return write


def _search(query_id: str, text: str, *hits: str, timestamp: str = DAY) -> dict[str, Any]:
    row = {"query_id": query_id, "user_query": text, "timestamp": timestamp}
    return row | ({"query_response_hit_ids": list(hits)} if hits else {})


def _event(
    action: str, query_id: str, product: str, ordinal: int | None = None, *, timestamp: str = DAY, **more: Any
) -> dict[str, Any]:
    attributes: dict[str, Any] = {"object": {"object_id": product, "object_id_field": "id"}}
    if ordinal is not None:
        attributes["position"] = {"ordinal": ordinal}
    row = {
        "action_name": action,
        "query_id": query_id,
        "timestamp": timestamp,
        "event_attributes": attributes,
    }
    return row | more


def _key(click: Click) -> str:
    return f"{click.query} {click.product_id} {click.position}"


def test_impressions_and_clicks_are_added_up_by_position(cluster: Cluster, log: Log) -> None:
    queries, events = log(
        [_search("s1", "deck screws"), _search("s2", "Deck  Screws"), _search("s3", "ladder")],
        [
            _event("impression", "s1", "a", 1),
            _event("impression", "s1", "b", 2),
            _event("impression", "s1", "b", 7),  # scrolled back to
            _event("click", "s1", "b", 2),
            _event("click", "s1", "b", 2),  # twice in one search is once
            _event("add_to_cart", "s1", "b"),
            _event("impression", "s2", "b", 2),
            _event("impression", "s2", "a", 5),
            _event("purchase", "s2", "c", 9),  # clicked, so it was seen
            _event("click", "s4", "d", 1, user_query="chair"),  # schema 1.3: the text is on the event
            _event("click", "s5", "d", 1),  # of a search that is not there
            _event("product_hover", "s3", "a", 1),
            {"action_name": "click", "query_id": "s3", "timestamp": DAY},
        ],
    )
    assert sorted(read_ubi_clicks(cluster, queries=queries, events=events), key=_key) == [
        Click("chair", "d", 1, 1, 1),
        Click("deck screws", "a", 0, 1, 1),
        Click("deck screws", "a", 0, 1, 5),
        Click("deck screws", "b", 1, 2, 2),
        Click("deck screws", "c", 1, 1, 9),
    ]
    feedback = feedback_from_clicks(read_ubi_clicks(cluster, queries=queries, events=events))
    assert {pair.product for pair in feedback.positives("deck screws")} == {"b", "c"}
    hovered = read_ubi_clicks(cluster, queries=queries, events=events, actions=["product_hover"])
    assert Click("ladder", "a", 1, 1, 1) in hovered


def test_hits_stand_in_where_no_impression_is_logged(cluster: Cluster, log: Log) -> None:
    searches = [_search("s1", "ladder", "a", "b"), _search("s2", "ladder", "b", "a", "c")]
    queries, events = log(searches, [_event("click", "s2", "b", 0)])  # this client counts from 0
    assert sorted(read_ubi_clicks(cluster, queries=queries, events=events), key=_key) == [
        Click("ladder", "a", 0, 1, 1),
        Click("ladder", "a", 0, 1, 2),
        Click("ladder", "b", 1, 1, 1),
        Click("ladder", "b", 0, 1, 2),
        Click("ladder", "c", 0, 1, 3),
    ]


def test_clicks_alone_state_no_impressions(cluster: Cluster, log: Log) -> None:
    queries, events = log([_search("s1", "ladder")], [_event("click", "s1", "b", 4)])
    assert read_ubi_clicks(cluster, queries=queries, events=events) == [Click("ladder", "b", 1, None, 4)]


def test_only_what_happened_since(cluster: Cluster, log: Log) -> None:
    old = "2026-10-01T10:00:00Z"
    queries, events = log(
        [_search("s1", "ladder", timestamp=old), _search("s2", "chair")],
        [_event("click", "s1", "a", 1, timestamp=old), _event("click", "s2", "b", 1)],
    )
    start = datetime(2026, 11, 1, tzinfo=UTC)
    assert read_ubi_clicks(cluster, start, queries=queries, events=events) == [Click("chair", "b", 1, None, 1)]
    with pytest.raises(InputError, match=r"no event that ties a click to a query since 2026-12-01.*add_to_cart"):
        read_ubi_clicks(cluster, datetime(2026, 12, 1, tzinfo=UTC), queries=queries, events=events)


def test_more_events_than_one_page(cluster: Cluster, log: Log) -> None:
    searches = [_search(f"s{n}", f"lamp {n % 3}") for n in range(1200)]
    queries, events = log(searches, [_event("click", f"s{n}", "a", 1) for n in range(1200)])
    found = read_ubi_clicks(cluster, queries=queries, events=events)
    assert [(click.query, click.clicks) for click in sorted(found, key=_key)] == [(f"lamp {n}", 400) for n in range(3)]


def test_missing_indices(cluster: Cluster, make_index: MakeIndex) -> None:
    with pytest.raises(IndexMissingError, match="test-absent"):
        read_ubi_clicks(cluster, queries="test-absent-too", events="test-absent")
