"""Documents written back with one part changed: the write passes only if the document is still what was read.

The whole document is written, byte for byte as it is stored, under the version number that it has (`external_gte`).
The cluster refuses our write when somebody else has written in between. A partial update would be simpler. But it
raises the number, and a writer that numbers its documents itself is locked out. It also writes numbers anew, so that a
keyword 1.10 becomes 1.1. The cluster forgets the number of a deleted document after a minute (`index.gc_deletes`), so
each write comes right behind a read.

Knows no codes: the caller says what is changed in a document's text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gram_os.cluster.bulk import Backoff, BulkItem, retry
from gram_os.cluster.client import Cluster
from gram_os.cluster.source_filter import find_number
from gram_os.cluster.stored import DocumentKey, StoredDocument
from gram_os.errors import ClusterBusyError

_READ_TOGETHER: Final = 128  # documents
_ONCE: Final = Backoff(attempts=1)  # a write is not repeated as it is: the documents are read anew before


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that could not be coded or written, and why.

    status: the HTTP status of the cluster's answer. None when the cluster was not asked. source: the hash of what would
    have been coded, empty when that is not known.
    """

    key: DocumentKey
    reason: str
    status: int | None = None
    source: str = ""

    @property
    def id(self) -> str:
        """The document's id."""
        return self.key.id


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A change of one document.

    seq_no, primary_term: the version that was read. change: its `_source` as it is stored (JSON) -> the new one.
    source: see `Refusal`.
    """

    key: DocumentKey
    seq_no: int
    primary_term: int
    change: Callable[[str], str]
    source: str = ""


@dataclass(slots=True)
class WriteOutcome:
    """What became of a chunk of documents.

    conflicts: somebody changed them since they were read; read them again. deleted: somebody deleted them. refused: the
    cluster does not take them as they would be. block: the cluster's words when a block refused documents, else None.
    Those documents are in no list. `explain_block` in `gram_os.cluster.blocks` has the cure. numbers: the `_seq_no` of
    each document that was written.
    """

    written: list[DocumentKey] = field(default_factory=list)
    conflicts: list[DocumentKey] = field(default_factory=list)
    deleted: list[DocumentKey] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    block: str | None = None
    numbers: list[int] = field(default_factory=list, compare=False)


def rewrite_documents(cluster: Cluster, rewrites: Sequence[Rewrite], wordy: Collection[str] = ()) -> WriteOutcome:
    """Write the changes of one chunk and say what became of each document.

    wordy: fields of a filtered `_source` in which no number is safe (`find_wordy_fields` in
    `gram_os.cluster.source_filter`). A document with one is refused.

    Up to `gram_os.cluster.bulk.CHUNK` documents and 8 MiB are one request. A request that the cluster refuses for now
    is sent again, and each time the documents are read anew. Raises ClusterBusyError when the cluster takes none of
    them in the end, and ClusterUnreachableError when it does not answer. What was written until then stays.
    """
    chunk = _Chunk(cluster, {rewrite.key: rewrite for rewrite in rewrites}, wordy)
    retry(chunk.attempt, cluster.backoff, again=bool)
    if chunk.late and len(chunk.late) == len(rewrites) and len(rewrites) > 1:
        reason = next(iter(chunk.late.values())).error
        raise ClusterBusyError(f"{cluster.url} took none of {len(rewrites)} documents ({reason}); try again later")
    chunk.outcome.refused += [chunk.refuse(key, str(answer.error), answer.status) for key, answer in chunk.late.items()]
    return chunk.outcome


@dataclass(slots=True)
class _Chunk:
    """Documents on their way. waiting: those that are not settled. late: the refusals of those that may pass later."""

    cluster: Cluster
    waiting: dict[DocumentKey, Rewrite]
    wordy: Collection[str]
    outcome: WriteOutcome = field(default_factory=WriteOutcome)
    late: dict[DocumentKey, BulkItem] = field(default_factory=dict)

    def attempt(self) -> bool:
        """Read what waits as it is now, and write it changed. Return whether something still waits."""
        sent: list[DocumentKey] = []
        self.late.clear()
        for place, answer in enumerate(self.cluster.bulk(self._build_writes(sent), backoff=_ONCE)):
            self._settle(sent[place], answer)
        return bool(self.waiting)

    def refuse(self, key: DocumentKey, reason: str, status: int | None = None) -> Refusal:
        """Make the refusal of a document, which waits no longer."""
        return Refusal(key, reason, status, self.waiting.pop(key).source)

    def _build_writes(self, sent: list[DocumentKey]) -> Iterator[dict[str, Any]]:
        """Yield the writes, and note their keys in `sent`. The documents are read in parts, since they may be large."""
        keys = list(self.waiting)
        for start in range(0, len(keys), _READ_TOGETHER):
            part = keys[start : start + _READ_TOGETHER]
            for key, stored in zip(part, self.cluster.read_documents(part), strict=True):
                action = self._plan(key, stored)
                if action is not None:
                    sent.append(key)
                    yield action

    def _plan(self, key: DocumentKey, stored: StoredDocument | None) -> dict[str, Any] | None:
        """Return the write of a document, or settle it when there is nothing to write."""
        rewrite = self.waiting[key]
        if stored is None:
            self.outcome.deleted.append(key)
        elif (stored.seq_no, stored.primary_term) != (rewrite.seq_no, rewrite.primary_term):
            self.outcome.conflicts.append(key)
        elif stored.source is None:
            self.outcome.refused.append(self.refuse(key, "has no _source, so it cannot be written back"))
            return None
        elif self.wordy and (path := find_number(json.loads(stored.source), self.wordy)):
            reason = f"field '{path}' holds a number, and the filter of _source has not kept how it was written"
            self.outcome.refused.append(self.refuse(key, f"{reason}; write it as a text"))
            return None
        else:
            return _build_write(key, rewrite.change(stored.source), stored.version)
        del self.waiting[key]
        return None

    def _settle(self, key: DocumentKey, answer: BulkItem) -> None:
        if answer.refused_for_now:
            self.late[key] = answer
            return
        if answer.ok:
            self.outcome.written.append(key)
            if answer.seq_no is not None:
                self.outcome.numbers.append(answer.seq_no)
        elif answer.conflict:
            self.outcome.conflicts.append(key)
        elif answer.blocked:
            self.outcome.block = self.outcome.block or answer.error
        else:
            self.outcome.refused.append(self.refuse(key, answer.error or "refused", answer.status))
            return
        del self.waiting[key]


def _build_write(key: DocumentKey, source: str, version: int) -> dict[str, Any]:
    """Build the write of a whole document. `pipeline`: the index's default pipeline has seen the document before."""
    routing = {} if key.routing is None else {"routing": key.routing}
    return {
        "op": "index", "index": key.index, "id": key.id, **routing,
        "version": version, "version_type": "external_gte", "pipeline": "_none",
        "body": source,
    }  # fmt: skip
