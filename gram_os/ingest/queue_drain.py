"""What writers told by the hook, into an index: products are written as `load` does it, ids are looked at and coded.

Requests are drained in the order in which they came, by one process at a time for each index. A request leaves the
queue when all of it is done, so one that is cut short is done again from its start. A product that the cluster refuses
becomes a dead letter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import Attachment, read_attachment
from gram_os.cluster.stored import DocumentKey, read_key
from gram_os.errors import ClusterError, IndexUnfitError, InputError
from gram_os.ingest.dead_letters import DeadLetters
from gram_os.ingest.documents import LabelWriter
from gram_os.ingest.queue import ChangeQueue, QueuedRequest
from gram_os.ingest.slices import Leases, name_worker, open_state
from gram_os.ingest.writing import Refusal
from gram_os.loading.product_writer import NewDocument, ProductWriter, make_document

log = logging.getLogger(__name__)

#: Stands for a label in the dead letters of products that the hook took and the cluster refused. No label is named so.
HOOK: Final = "@hook"
_POLL_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_FORGET_EVERY: Final = 200  # looks
_TOGETHER: Final = 500  # ids

OpenWriters = Callable[[], Sequence[LabelWriter]]


@dataclass(slots=True)
class DrainStatus:
    """What a drain has done since its start."""

    requests: int = 0
    products: int = 0
    ids: int = 0
    refused: int = 0


class QueueDrain:
    """Drains what waits for one index or alias.

    open_writers: returns one writer for each label that can be coded here, for the documents whose ids were told.
    """

    def __init__(self, cluster: Cluster, name: str, open_writers: OpenWriters):
        self.status = DrainStatus()
        self._cluster, self._name, self._open_writers = cluster.patient(), name, open_writers
        self._queue = ChangeQueue(self._cluster)
        self._letters = DeadLetters(self._cluster)

    def run(self, stop: Event) -> None:
        """Drain until `stop` is set. Trouble of the cluster is logged, and waited for."""
        leases, pause, looks = Leases(open_state(self._cluster), name_worker()), _POLL_S, 0
        while not stop.is_set():
            try:
                lease = leases.take(f"queue@{self._name}", {"kind": "queue", "index": self._name, "position": 0})
                if lease is not None:
                    with lease:
                        while not stop.is_set() and not lease.lost:
                            self.drain(stop)
                            looks += 1
                            if looks % _FORGET_EVERY == 0:
                                self._queue.forget()
                            pause = _POLL_S
                            stop.wait(pause)
            except ClusterError as error:
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                log.warning("%s: hook: %s (trying again in %.1f s)", self._name, error, pause)
            stop.wait(pause)

    def drain(self, stop: Event | None = None) -> None:
        """Do everything that waits. Raises ClusterError when the cluster does not answer, or takes no writes."""
        for request in self._queue.waiting([self._name]):
            if stop is not None and stop.is_set():
                return
            self._do(request)

    def _do(self, request: QueuedRequest) -> None:
        writer = ProductWriter(self._cluster, self._name, self._read_labels())
        written: list[DocumentKey] = []
        for item in writer.write(self._make_documents(request)):
            if item.ok:
                written.append(DocumentKey(self._name, str(item.id)))
            elif item.blocked:
                raise IndexUnfitError(f"index '{self._name}' takes no writes ({item.error})")
            else:
                self._refuse(str(item.id), str(item.error), item.status)
        self.status.products += len(written)
        self._letters.clear(HOOK, written)
        ids = [change.id for change in request.changes if change.product is None]
        self._code(ids)
        self.status.ids += len(ids)
        if self._queue.settle(request):
            self.status.requests += 1

    def _read_labels(self) -> Attachment | None:
        names = [facts.name for facts in self._cluster.get_indices(self._name)]
        return read_attachment(self._cluster, names[0]) if len(names) == 1 else None

    def _make_documents(self, request: QueuedRequest) -> Iterator[NewDocument]:
        for change in request.changes:
            if change.product is None:
                continue
            try:
                yield make_document(change.product, id_field=request.id_field, title_field=request.title_field)
            except InputError as error:
                self._refuse(change.id, str(error), 400)

    def _refuse(self, id_: str, reason: str, status: int) -> None:
        self.status.refused += 1
        log.warning("%s: hook: product '%s' was refused: %s", self._name, id_, reason)
        refusal = Refusal(DocumentKey(self._name, id_), f"{reason}; correct the product, and send it again", status)
        self._letters.put(HOOK, [refusal])

    def _code(self, ids: Sequence[str]) -> None:
        """Code documents by their ids under each label. An id that is not there was deleted meanwhile."""
        if not ids:
            return
        self._cluster.refresh(self._name)
        distinct = list(dict.fromkeys(ids))
        for writer in self._open_writers():
            writer.check()
            for start in range(0, len(distinct), _TOGETHER):
                named = {"ids": {"values": distinct[start : start + _TOGETHER]}}
                query = {"bool": {"filter": [named, dict(writer.state.product_query)]}}
                body = {"query": query, "size": 4 * _TOGETHER, "_source": False}
                writer.code_keys([read_key(hit) for hit in self._cluster.search(self._name, body)["hits"]["hits"]])
