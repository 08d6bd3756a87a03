"""Dead letters: documents that could not be coded or written, kept on the cluster until they can be or are dropped.

One record a document and label, in the index `.gram-dead-letters`. Knows neither codes nor how a document is coded.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gram_os.cluster.client import Cluster
from gram_os.cluster.records import Record, Records
from gram_os.cluster.stored import DocumentKey
from gram_os.ingest.writing import Refusal

INDEX: Final = ".gram-dead-letters"
_KEYWORD: Final = {"type": "keyword", "ignore_above": 512}
PROPERTIES: Final = {
    "index": _KEYWORD,
    "id": _KEYWORD,
    "label": _KEYWORD,
    "reason": _KEYWORD,
    "status": {"type": "short"},
    "attempts": {"type": "integer"},
    "first_at": {"type": "date"},
    "last_at": {"type": "date"},
    "source": _KEYWORD,
}
_REREAD_S: Final = 30.0  # another process may have added or dropped letters


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A document that waits for a cure.

    status: the HTTP status of the cluster's answer, None when the cluster was not asked. attempts: how often it failed
    in the same way or another. first_at, last_at: ISO 8601, UTC. source: the hash of what would have been coded.
    """

    key: DocumentKey
    label: str
    reason: str
    status: int | None
    attempts: int
    first_at: str
    last_at: str
    source: str


class DeadLetters:
    """The dead letters of a cluster. Several processes may write them.

    >>> from gram_os import Cluster, load_settings
    >>> letters = DeadLetters(Cluster.connect(load_settings().cluster))  # reads OPENSEARCH_URL
    >>> letters.put("v1", [Refusal(DocumentKey("shop", "7"), "has no title in field 'title'")])
    >>> [(letter.key.id, letter.reason, letter.attempts) for letter in letters.list(indices=["shop"])]
    [('7', "has no title in field 'title'", 1)]
    >>> letters.clear("v1", [DocumentKey("shop", "7")])
    >>> list(letters.list(indices=["shop"]))
    []
    """

    def __init__(self, cluster: Cluster):
        self._records = Records(cluster, INDEX, PROPERTIES)
        self._known: set[str] | None = None
        self._read_at = 0.0

    def put(self, label: str, refusals: Sequence[Refusal]) -> None:
        """Keep refused documents. One that is there already counts one more attempt."""
        ids = {_make_id(label, refusal.key): refusal for refusal in refusals}
        if not ids:
            return
        before, now = self._records.get_many(list(ids)), datetime.now(UTC).isoformat(timespec="seconds")
        bodies = {}
        for id_, refusal in ids.items():
            seen = before[id_].body if id_ in before else {}
            bodies[id_] = {
                "index": refusal.key.index, "id": refusal.key.id, "routing": refusal.key.routing, "label": label,
                "reason": refusal.reason, "status": refusal.status, "source": refusal.source,
                "attempts": seen.get("attempts", 0) + 1, "first_at": seen.get("first_at", now), "last_at": now,
            }  # fmt: skip
        self._records.put_many(bodies)
        if self._known is not None:
            self._known.update(ids)

    def clear(self, label: str, keys: Sequence[DocumentKey]) -> None:
        """Take documents out that are coded, or deleted, by now."""
        if self._known is None or time.monotonic() > self._read_at + _REREAD_S:
            self._known, self._read_at = {record.id for record in self._records.find()}, time.monotonic()
        if self._known:
            for id_ in self._known.intersection(_make_id(label, key) for key in keys):
                self._records.delete(id_)
                self._known.discard(id_)

    def list(self, *, indices: Collection[str] | None = None, label: str | None = None) -> Iterator[DeadLetter]:
        """Yield the letters, oldest first: of some indices (no aliases) and of one label, by default all."""
        for record in self._records.find(_select(indices, label), sort=["first_at"]):
            yield _read(record)

    def count(self, *, indices: Collection[str] | None = None, label: str | None = None) -> int:
        """Return the number of letters that `list` yields."""
        return self._records.count(_select(indices, label))


def _make_id(label: str, key: DocumentKey) -> str:
    """Return the id of a letter's record. A hash, because a document's id may be as long as ids may be."""
    return hashlib.sha256("\0".join((label, key.index, key.id, key.routing or "")).encode()).hexdigest()[:32]


def _select(indices: Collection[str] | None, label: str | None) -> dict[str, Any]:
    filters: list[dict[str, Any]] = [] if label is None else [{"term": {"label": label}}]
    filters += [] if indices is None else [{"terms": {"index": list(indices)}}]
    return {"bool": {"filter": filters}}


def _read(record: Record) -> DeadLetter:
    body = record.body
    key = DocumentKey(body["index"], body["id"], body.get("routing"))
    return DeadLetter(
        key, body["label"], body["reason"], body["status"], body["attempts"], body["first_at"], body["last_at"],
        body["source"],
    )  # fmt: skip
