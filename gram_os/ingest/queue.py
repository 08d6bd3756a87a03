"""The queue of catalogue changes on the cluster: what writers sent to the hook, until `watch` has written it.

One record a request, in the index `.gram-queue`. A request is stored with one write, so it is there as a whole or not
at all. A request that is known already is recognised by its idempotency key or its signature, and is not stored again.
Knows nothing of HTTP, and nothing of how a change is written or coded.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gram_os.cluster.client import Cluster
from gram_os.cluster.records import Record, Records
from gram_os.errors import IndexMissingError, InputError

INDEX: Final = ".gram-queue"
PROPERTIES: Final = {
    "index": {"type": "keyword"},
    "state": {"type": "keyword"},
    "received_at": {"type": "date"},
    "signed": {"type": "keyword"},
    "changes": {"type": "integer"},
}
#: How long the hook recognises a request that it has seen.
KEPT_FOR: Final = timedelta(days=1)

_SIGN_ANEW: Final = "sign the request anew, with another timestamp (fractions of a second count)"
_WAITING, _DONE = "waiting", "done"
_PAGE: Final = 1000  # ids; the records are read one by one, since each may have many megabytes


@dataclass(frozen=True, slots=True)
class CatalogueChange:
    """One line of a writer's request.

    id: of the document. product: the product's row, as a catalogue file has it, with id and title. None when the
    document is in the index already, and only its codes are to be made anew.
    """

    id: str
    product: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request. duplicate: it was known already, and nothing was stored."""

    id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request that waits.

    changes: in the order of its lines. id_field, title_field: those of its products. seen: its record, as it was read.
    """

    id: str
    index: str
    received_at: datetime
    changes: tuple[CatalogueChange, ...]
    id_field: str
    title_field: str
    seen: Record


@dataclass(frozen=True, slots=True)
class QueueSize:
    """What waits. changes: lines of all waiting requests. oldest: when the first of them came, None when none waits."""

    requests: int
    changes: int
    oldest: datetime | None


class ChangeQueue:
    """The queue of a cluster. Several processes may add to it and drain it. The constructor contacts nobody.

    Requests are drained in the order in which the cluster stored them.

    >>> from gram_os import Cluster, load_settings
    >>> queue = ChangeQueue(Cluster.connect(load_settings().cluster))  # reads OPENSEARCH_URL
    >>> change = CatalogueChange("7", {"id": "7", "title": "Lamp"})
    >>> queue.add("shop", [change], signed="1767225600.ab12", digest="cd34").duplicate
    False
    >>> queue.add("shop", [change], signed="1767225600.ab12", digest="cd34").duplicate
    True
    >>> for request in queue.waiting(["shop"]):
    ...     print([change.id for change in request.changes], queue.settle(request))
    ['7'] True
    >>> queue.size(["shop"]).requests
    0
    >>> _ = queue.forget(timedelta(0))
    """

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._records = Records(cluster, INDEX, PROPERTIES)

    def add(
        self,
        index: str,
        changes: Sequence[CatalogueChange],
        *,
        signed: str,
        digest: str,
        key: str | None = None,
        id_field: str = "id",
        title_field: str = "title",
    ) -> Receipt:
        """Store a request. When this returns, the request is on the cluster's disk.

        signed: names what the writer has signed, so that a replay is recognised. digest: of the content. key: the
        writer's idempotency key; requests of one index and key are stored once. id_field, title_field: those of the
        products.

        Raises InputError when the key stands for another content already, and when the same signature was used with
        another index or key.
        """
        id_ = _make_id("key", index, key) if key is not None else _make_id("signed", signed)
        replayed = next(self._records.find({"term": {"signed": signed}}, limit=1), None)
        if replayed is not None:
            if key is not None and replayed.body["keyed"] and replayed.id != id_:
                raise InputError(f"the same timestamp and body came with another idempotency key already; {_SIGN_ANEW}")
            return _recognise(replayed, index, digest)
        nonce = uuid.uuid4().hex
        body = {
            "index": index,
            "state": _WAITING,
            "received_at": _write_time(datetime.now(UTC)),
            "signed": signed,
            "keyed": key is not None,
            "digest": digest,
            "nonce": nonce,
            "changes": len(changes),
            "id_field": id_field,
            "title_field": title_field,
            # As texts: whatever is inside a product, the cluster stores it and looks at nothing.
            "lines": [_write_change(change) for change in changes],
        }
        if self._records.create(id_, body):
            return Receipt(id_, duplicate=False)
        before = self._records.get(id_)
        if before is not None and before.body["nonce"] == nonce:  # our write, whose answer was lost on its way
            return Receipt(id_, duplicate=False)
        return Receipt(id_, duplicate=True) if before is None else _recognise(before, index, digest)

    def waiting(self, indices: Collection[str]) -> Iterator[QueuedRequest]:
        """Yield the requests for these indices that wait, oldest first. One of them is in memory at a time."""
        for id_ in self._waiting_ids(indices):
            record = self._records.get(id_)
            if record is not None and record.body["state"] == _WAITING:
                yield _read_request(record)

    def settle(self, request: QueuedRequest) -> bool:
        """Mark a request as done. Its changes are dropped, and the rest is kept to recognise replays.

        Returns False when another process has settled it.
        """
        kept = {name: value for name, value in request.seen.body.items() if name != "lines"}
        return self._records.put(request.id, {**kept, "state": _DONE}, request.seen) is not None

    def forget(self, older_than: timedelta = KEPT_FOR) -> int:
        """Delete requests that are done and came longer ago than this, and return their number."""
        before = _write_time(datetime.now(UTC) - older_than)
        query = {"bool": {"filter": [{"term": {"state": _DONE}}, {"range": {"received_at": {"lt": before}}}]}}
        path, params = f"/{INDEX}/_delete_by_query", {"conflicts": "proceed", "refresh": True}
        try:
            self._cluster.refresh(INDEX)
            return int(self._cluster.request("POST", path, {"query": query}, params=params, index=INDEX)["deleted"])
        except IndexMissingError:
            return 0

    def size(self, indices: Collection[str] | None = None) -> QueueSize:
        """Return how much waits for these indices, for all by default."""
        aggs = {"changes": {"sum": {"field": "changes"}}, "oldest": {"min": {"field": "received_at"}}}
        body = {"query": _find_waiting(indices), "size": 0, "track_total_hits": True, "aggs": aggs}
        try:
            self._cluster.refresh(INDEX)
            answer = self._cluster.search(INDEX, body)
        except IndexMissingError:
            return QueueSize(0, 0, None)
        found, oldest = answer["aggregations"], answer["aggregations"]["oldest"]["value"]
        return QueueSize(
            answer["hits"]["total"]["value"],
            int(found["changes"]["value"]),
            None if oldest is None else datetime.fromtimestamp(oldest / 1000, UTC),
        )

    def _waiting_ids(self, indices: Collection[str]) -> Iterator[str]:
        body: dict[str, Any] = {
            "query": _find_waiting(indices),
            "size": _PAGE,
            "sort": ["_seq_no"],  # the order in which the cluster stored them, whatever the clocks of the writers say
            "_source": False,
            "track_total_hits": False,
        }
        while True:
            try:
                self._cluster.refresh(INDEX)
                hits = self._cluster.search(INDEX, body)["hits"]["hits"]
            except IndexMissingError:
                return
            yield from (hit["_id"] for hit in hits)
            if len(hits) < _PAGE:
                return
            body["search_after"] = hits[-1]["sort"]


def _recognise(before: Record, index: str, digest: str) -> Receipt:
    if before.body["index"] != index:
        raise InputError(f"the same timestamp and body came for index '{before.body['index']}' already; {_SIGN_ANEW}")
    if before.body["digest"] != digest:
        raise InputError("this idempotency key came with another content before; give each request a key of its own")
    return Receipt(before.id, duplicate=True)


def _find_waiting(indices: Collection[str] | None) -> dict[str, Any]:
    chosen = [] if indices is None else [{"terms": {"index": sorted(indices)}}]
    return {"bool": {"filter": [{"term": {"state": _WAITING}}, *chosen]}}


def _make_id(*parts: str) -> str:
    """Return a name of 40 hexadecimal digits for what may be long, or hold any character."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _write_change(change: CatalogueChange) -> str:
    """Write a change as one JSON text: the id alone, or id and product.

    >>> _write_change(CatalogueChange("7")), _write_change(CatalogueChange("7", {"id": 7}))
    ('"7"', '["7",{"id":7}]')
    """
    value = change.id if change.product is None else [change.id, change.product]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read_change(line: str) -> CatalogueChange:
    """Read what `_write_change` writes.

    >>> _read_change('["7",{"id":7}]')
    CatalogueChange(id='7', product={'id': 7})
    """
    value = json.loads(line)
    return CatalogueChange(value) if isinstance(value, str) else CatalogueChange(*value)


def _read_request(record: Record) -> QueuedRequest:
    body = record.body
    return QueuedRequest(
        record.id,
        body["index"],
        datetime.fromisoformat(body["received_at"]),
        tuple(map(_read_change, body["lines"])),
        body["id_field"],
        body["title_field"],
        record,
    )


def _write_time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
