"""Clicks out of a cluster's User Behavior Insights: the indices `ubi_queries` and `ubi_events` (UBI schema 1.3 and before).

Knows UBI's fields and which events say what; how clicks become pairs is the business of `clicks`. Both indices are read
once, as they stand at the start; memory grows with the number of queries asked and of results seen.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gram_os.catalogue import Click
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import read_field
from gram_os.errors import InputError
from gram_os.text.normalise import fold

log = logging.getLogger(__name__)

QUERIES, EVENTS = "ubi_queries", "ubi_events"
# The actions of the schema that a shopper takes on a product; `view` and `watch` may be a page that opened by itself.
CLICK_ACTIONS = frozenset({"click", "click_through", "add_to_cart", "purchase"})
IMPRESSION = "impression"
_OBJECT = "event_attributes.object.object_id"
_INNER = "event_attributes.object.internal_id"
_ORDINAL = "event_attributes.position.ordinal"


def read_ubi_clicks(
    cluster: Cluster,
    since: datetime | None = None,
    *,
    queries: str = QUERIES,
    events: str = EVENTS,
    actions: Collection[str] = CLICK_ACTIONS,
) -> list[Click]:
    """Clicks and impressions by query text, product and position.

    Impressions are the `impression` events; where the log holds none of these, every hit of `query_response_hit_ids` is one,
    at its place in that list (counted from 1). A product counts once for a search (a `query_id`), however often it
    scrolled by or was clicked, and what was clicked was also seen. A query's text is the `user_query` of its search, or
    of its event (schema 1.3); events without either, and those of an earlier search than `since`, are left out.
    """
    when: Mapping[str, object] = {"range": {"timestamp": {"gte": since.isoformat()}}} if since else {"match_all": {}}
    searches = _read_searches(cluster, queries, when)
    seen = _read_events(cluster, events, when, searches, frozenset(actions))
    if not seen.clicked:
        raise InputError(
            f"index '{events}' holds no event that ties a click to a query"
            + (f" since {since.isoformat()}" if since else "")
            + f": looked for the actions {', '.join(sorted(actions))} with a query_id and {_OBJECT} "
            f"({seen.untied} had no query text or product)"
        )
    if seen.untied:
        log.warning("%d events without query text or product are left out", seen.untied)
    if not seen.shown:
        _show_hits(searches, seen)
    return list(_count(seen))


@dataclass(slots=True)
class _Search:
    text: str
    hits: tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    """Per (query_id, product): the position, of a click and of an impression; per query_id the text."""

    texts: dict[str, str] = field(default_factory=dict)
    clicked: dict[tuple[str, str], int | None] = field(default_factory=dict)
    shown: dict[tuple[str, str], int | None] = field(default_factory=dict)
    untied: int = 0


def _read_searches(cluster: Cluster, index: str, when: Mapping[str, object]) -> dict[str, _Search]:
    """Searches by query_id; none where the client logs events alone."""
    if not cluster.index_exists(index):
        return {}
    wanted = ["query_id", "user_query", "query_response_hit_ids"]
    found = {}
    for hit in cluster.scan(index, query=when, source=wanted):
        source = hit["_source"]
        text, hits = source.get("user_query"), source.get("query_response_hit_ids") or ()
        if isinstance(text, str) and text.strip() and "query_id" in source:
            ids = (hits,) if isinstance(hits, str) else tuple(map(str, hits))
            found[str(source["query_id"])] = _Search(text.strip(), ids)
    return found


def _read_events(
    cluster: Cluster,
    index: str,
    when: Mapping[str, object],
    searches: Mapping[str, _Search],
    actions: Collection[str],
) -> _Seen:
    query = {"bool": {"filter": [when, {"terms": {"action_name": sorted({*actions, IMPRESSION})}}]}}
    wanted = ["action_name", "query_id", "user_query", _OBJECT, _INNER, _ORDINAL]
    seen = _Seen()
    for hit in cluster.scan(index, query=query, source=wanted):
        source = hit["_source"]
        action, query_id, text = (source.get(name) for name in ("action_name", "query_id", "user_query"))
        if action not in actions and action != IMPRESSION:  # the query has matched a word of an analysed text
            continue
        if str(query_id) in searches:
            text = searches[str(query_id)].text
        product = read_field(source, _OBJECT) or read_field(source, _INNER)
        if query_id is None or product is None or not isinstance(text, str) or not text.strip():
            seen.untied += 1
            continue
        seen.texts[str(query_id)] = text.strip()
        place = seen.shown if action == IMPRESSION else seen.clicked
        _note(place, (str(query_id), str(product)), _read_position(source))
    return seen


def _note(place: dict[tuple[str, str], int | None], key: tuple[str, str], position: int | None) -> None:
    """Keep the best position that a product had in a search: which of its events is read first is chance."""
    known = place.get(key)
    place[key] = position if known is None else known if position is None else min(known, position)


def _read_position(source: Mapping[str, Any]) -> int | None:
    ordinal = read_field(source, _ORDINAL)
    try:
        return None if ordinal is None else int(ordinal)
    except (TypeError, ValueError):
        return None


def _show_hits(searches: Mapping[str, _Search], seen: _Seen) -> None:
    """Take the hits of all searches as impressions; clicks get the hits' positions, since clients count from 0 or 1."""
    for query_id, search in searches.items():
        seen.texts[query_id] = search.text
        for position, product in enumerate(search.hits, start=1):
            seen.shown.setdefault((query_id, product), position)
    if seen.shown:
        seen.clicked = {key: seen.shown.get(key) for key in seen.clicked}


def _count(seen: _Seen) -> Iterator[Click]:
    """Add up by text, product and position; without any impression in the log, impressions stay unsaid."""
    counts: dict[tuple[str, str, int | None], list[int]] = {}
    spelling: dict[str, str] = {}
    everything: Iterable[tuple[str, str]] = dict.fromkeys((*seen.shown, *seen.clicked))
    for key in everything:
        query_id, product = key
        text = spelling.setdefault(fold(seen.texts[query_id]), seen.texts[query_id])
        position = seen.shown.get(key)
        row = counts.setdefault((text, product, seen.clicked.get(key) if position is None else position), [0, 0])
        row[0] += key in seen.clicked
        row[1] += 1
    for (text, product, place), (clicks, impressions) in counts.items():
        yield Click(text, product, clicks, impressions if seen.shown else None, place)
