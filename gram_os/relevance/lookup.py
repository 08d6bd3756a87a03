"""What the index says about judged products: their titles, and which of them it does not hold.

Knows the cluster by one method only; a product that is missing from the index is a miss for every system, and ids that do
not fit at all are the commonest reason for figures of 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from gram_os.cluster.dsl import read_field
from gram_os.errors import InputError
from gram_os.relevance.judgments import JudgmentSet

_IDS_A_REQUEST = 1000


class Searchable(Protocol):
    """The part of `Cluster` that look-ups need."""

    def search(self, index: str, body: Mapping[str, object], /) -> dict[str, Any]:
        """Answer a `_search` body."""


def build_ids_body(ids: Sequence[str], *, source: Sequence[str]) -> dict[str, object]:
    """Body that finds documents by their ids."""
    return {"query": {"ids": {"values": list(ids)}}, "size": len(ids), "_source": list(source)}


def find_titles(cluster: Searchable, index: str, ids: Iterable[str], *, field: str) -> dict[str, str]:
    """Title by id of those products that are in the index; the id stands in where a document has no title."""
    wanted = sorted(set(ids))
    titles: dict[str, str] = {}
    for start in range(0, len(wanted), _IDS_A_REQUEST):
        chunk = wanted[start : start + _IDS_A_REQUEST]
        for hit in cluster.search(index, build_ids_body(chunk, source=[field]))["hits"]["hits"]:
            title = read_field(hit.get("_source", {}), field)
            titles[hit["_id"]] = title if isinstance(title, str) else hit["_id"]
    return titles


def find_missing(judgments: JudgmentSet, query_ids: Iterable[str], present: Iterable[str], *, index: str) -> list[str]:
    """Relevant products of the queries that are not among those present; InputError when that is all of them."""
    relevant = relevant_products(judgments, query_ids)
    missing = sorted(relevant.difference(present))
    if relevant and len(missing) == len(relevant):
        raise InputError(
            f"none of the {len(relevant)} products judged relevant is in index '{index}' (the first is '{missing[0]}'): "
            "do judgments and index use the same ids?"
        )
    return missing


def relevant_products(judgments: JudgmentSet, query_ids: Iterable[str]) -> set[str]:
    """All products that are relevant to any of the queries."""
    return {product for id_ in query_ids for product in judgments.relevant.get(id_, ())}
