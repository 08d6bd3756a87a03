"""Codes for every change of an index, from now on: what the change feed shows is coded and written within a second.

A watch sees all writers, whatever they use: full documents, partial updates, bulk, reindex. It reads what was written
since its position on the cluster, so it misses nothing while it is down. Its own writes come by in the feed too. Their
codes are current, so nothing is written again. New indices behind an alias, and new shards after a split, have no
position yet and are read from the start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from threading import Event
from typing import Any, Final

from gram_os.cluster.bulk import CHUNK, TRANSIENT
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import Attachment, LabelState, attach, read_attachments
from gram_os.errors import ClusterError, LabelGoneError
from gram_os.ingest.dead_letters import DeadLetters
from gram_os.ingest.documents import Document, LabelWriter, ProductCoder, gather_chunks
from gram_os.ingest.feed import PAGE, Shard, ShardReader, look_at_shards
from gram_os.ingest.slices import Lease, Leases, Positions, name_worker, open_state
from gram_os.ingest.writing import Refusal

log = logging.getLogger(__name__)

_AT_ONCE: Final = 64  # documents that are coded in one go; more are coded as a stream
_WRITE_S: Final = 0.25  # what a stream has coded in that time is written
_SHOW_S: Final = 0.5  # codes that are written are shown so soon
_META_S: Final = 10.0  # so often the labels are read again
_STANDBY_S: Final = 2.0
_ATTEMPTS: Final = 5
_LONGEST_PAUSE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a watch looks for changes.

    poll_s: seconds between two looks. refresh_s: the least seconds between two refreshes that the watch asks for. A
    change is visible with its codes after about poll_s + refresh_s and the time of its coding.
    """

    poll_s: float = 0.25
    refresh_s: float = 0.5


@dataclass(slots=True)
class WatchStatus:
    """What a watch has done since its start, in numbers of documents, and how far it is behind.

    looks: how often it has looked for changes.
    coded, unchanged, refused, conflicts: see `BackfillReport`. lag_operations: writes that were not looked at yet, at
    the last look. lag_seconds: for how long it has been behind without a pause, 0 when it is not.
    """

    looks: int = 0
    coded: int = 0
    unchanged: int = 0
    refused: int = 0
    conflicts: int = 0
    lag_operations: int = 0
    lag_seconds: float = 0.0


class Watch:
    """Follows one index, or all indices of an alias, under one label.

    >>> from gram_os import Cluster, load_generator, load_settings
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> from gram_os.cluster.labels import require_label
    >>> watch = Watch(cluster, "products", require_label(cluster, "products"), load_generator())
    >>> watch.drain()
    >>> watch.status.coded, watch.status.lag_operations
    (0, 0)
    >>> cluster.close()
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        state: LabelState,
        coder: ProductCoder,
        options: WatchOptions | None = None,
    ):
        self.status = WatchStatus()
        # Short trouble is waited out within a request. Longer trouble is told, and the next step tries anew.
        self._cluster = cluster.patient(replace(cluster.backoff, attempts=min(cluster.backoff.attempts, _ATTEMPTS)))
        self._name, self._state, self._coder = name, state, coder
        self._options = options or WatchOptions()
        self._records = open_state(self._cluster)
        self._stop = Event()
        self._indices: frozenset[str] = frozenset()  # by uuid
        self._read_at = self._refreshed_at = -float("inf")
        self._behind_since: float | None = None
        self._pause_s = 0.0
        self._page = PAGE
        self._open()

    @property
    def dead_letters(self) -> DeadLetters:
        """The documents that could not be coded or written."""
        return self._writer.letters

    def run(self, stop: Event, on_step: Callable[[WatchStatus], None] = lambda _: None) -> None:
        """Follow the changes until `stop` is set, whatever happens to the cluster meanwhile.

        on_step: called after each look. Another watch of the same index and label waits until this one ends or dies.
        Raises LabelGoneError when the label is taken out of the index, and what the coder raises.
        """
        leases = Leases(self._records, name_worker())
        self._stop = stop
        waits = False
        while not stop.is_set():
            lease = self._take(leases)
            if lease is None:
                if not waits:
                    log.info("%s: another gram-os watch follows label %s; waiting", self._name, self._state.label)
                waits = True
                stop.wait(_STANDBY_S)
                continue
            waits = False
            log.info("%s: following label %s", self._name, self._state.label)
            with lease:
                self._forget()
                while not stop.is_set() and not lease.lost:
                    pause = self._step_safely()
                    lease.body.update(lag_operations=self.status.lag_operations, lag_seconds=self.status.lag_seconds)
                    on_step(self.status)
                    stop.wait(pause)

    def drain(self) -> None:
        """Code everything that was written until now, and everything that is written meanwhile.

        Raises LabelGoneError, and other ClusterErrors when the cluster does not answer.
        """
        self._forget()
        while self.step():
            pass

    def step(self) -> bool:
        """Look once, and code what was written since the last look. Return whether there was something."""
        shards = look_at_shards(self._cluster, self._name)
        uuids = frozenset(shard.uuid for shard in shards)
        if uuids != self._indices or time.monotonic() - self._read_at > _META_S:
            self._read_labels(is_new=uuids != self._indices)
            self._indices = uuids
        behind = self._find_behind(shards)
        if behind:
            self._refresh(sorted({shard.index for shard in behind}))
            for shard in behind:
                self._follow(shard)
            self._find_behind(shards)
        has_edited = self._follow_edits()
        self.status.looks += 1
        return bool(behind) or has_edited

    def _take(self, leases: Leases) -> Lease | None:
        id_, body = self._positions.lease(self._name)
        try:
            return leases.take(id_, body)
        except TRANSIENT as error:
            log.warning("%s: %s", self._name, error)
            return None

    def _step_safely(self) -> float:
        """Make a step, and return the seconds until the next one. Trouble of the cluster is logged, and waited for."""
        try:
            self.step()
        except LabelGoneError:
            raise
        except ClusterError as error:
            self._pause_s = min(_LONGEST_PAUSE_S, 2 * max(self._pause_s, self._options.poll_s))
            log.warning("%s: %s (trying again in %.1f s)", self._name, error, self._pause_s)
            self._behind_since = self._behind_since or time.monotonic()
            self.status.lag_seconds = time.monotonic() - self._behind_since
            return self._pause_s
        self._pause_s = 0.0
        return self._options.poll_s

    def _read_labels(self, *, is_new: bool) -> None:
        """Read the labels again, and attach indices that have come behind the alias. Raises LabelGoneError.

        is_new: the name stands for other indices than at the last time, so they are checked too.
        """
        found = read_attachments(self._cluster, self._name)
        label = self._state.label
        attached = next((one for one in found.values() if one and label in one.labels), None)
        if attached is None or attached.labels[label].bundle != self._state.bundle:
            raise LabelGoneError(f"index '{self._name}' has no label '{label}' of this bundle any more")
        if attached.labels[label] != self._state:
            self._state, is_new = attached.labels[label], True
            self._open()
        for index, attachment in found.items():
            if attachment is None or label not in attachment.labels:
                self._attach(index, attached)
        if is_new:
            self._writer.check()
        self._page = min(PAGE, *(facts.result_window for facts in self._cluster.get_indices(self._name)))
        self._read_at = time.monotonic()

    def _attach(self, index: str, as_in: Attachment) -> None:
        """Give an index the labels of another one behind the alias, the active one first, which makes it active."""
        for state in sorted(as_in.labels.values(), key=lambda state: state.label != as_in.active):
            log.info("%s: index '%s' is new; it gets label %s", self._name, index, state.label)
            attach(self._cluster, index, state)

    def _open(self) -> None:
        self._writer = LabelWriter(self._cluster, self._name, self._state, self._coder)
        self._positions = Positions(self._records, self._state)
        self._known: dict[str, int] = {}  # positions by shard
        self._edits: str | None = None  # up to where they are in the documents

    def _forget(self) -> None:
        """Read the positions anew: another watch may have gone on meanwhile."""
        self._known.clear()
        self._edits = None

    def _position(self, shard: Shard) -> int:
        if shard.key not in self._known:
            self._known[shard.key] = self._positions.read(shard.key)
        return self._known[shard.key]

    def _find_behind(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards with writes that were not looked at, and note how far they are behind."""
        behind = [shard for shard in shards if shard.checkpoint > self._position(shard)]
        now = time.monotonic()
        self._behind_since = (self._behind_since or now) if behind else None
        self.status.lag_operations = sum(shard.checkpoint - self._position(shard) for shard in behind)
        self.status.lag_seconds = now - self._behind_since if self._behind_since else 0.0
        return behind

    def _refresh(self, indices: Sequence[str]) -> None:
        """Let searches see everything up to the checkpoints, but not more often than the options say."""
        pause = self._refreshed_at + self._options.refresh_s - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        for index in indices:
            self._cluster.refresh(index)
        self._refreshed_at = time.monotonic()

    def _follow(self, shard: Shard) -> None:
        """Code what was written to a shard up to its checkpoint."""
        reader = ShardReader(self._cluster, shard, self._state.product_query, self._writer.fields, self._page)
        for page in reader.pages(self._position(shard), shard.checkpoint):
            self._code(page.hits)
            self._known[shard.key] = page.position
            self._positions.save(shard.key, page.position)
            if self._stop.is_set():
                return

    def _follow_edits(self) -> bool:
        """Code the documents again that people's edits are for, new and undone ones. Return whether there were some."""
        if self._edits is None:
            self._edits = self._positions.read_edits(self._name)
        change = self._writer.edits.poll(self._edits)
        if change is None:
            return False
        hits = self._writer.edits.find_hits(change, self._writer.fields)
        while part := list(islice(hits, CHUNK)):
            self._code(part)
        self._edits = change.position
        self._positions.save_edits(self._name, change.position)
        return True

    def _code(self, hits: Sequence[Mapping[str, Any]]) -> None:
        """Code the documents that have no current codes. Those that change meanwhile come by in the feed again."""
        read = self._writer.read_all(hits)
        outdated = [document for document in read if isinstance(document, Document) and not document.is_current]
        refused = [document for document in read if isinstance(document, Refusal)]
        self.status.unchanged += len(read) - len(outdated) - len(refused)
        is_large = len(outdated) > _AT_ONCE
        coded = self._writer.code(outdated) if is_large else self._writer.code_now(outdated)
        indices = sorted({document.key.index for document in outdated})
        for chunk in gather_chunks(chain(refused, coded), _WRITE_S):
            outcome = self._writer.write(chunk)
            self.status.coded += len(outcome.written)
            self.status.refused += len(outcome.refused)
            self.status.conflicts += len(outcome.conflicts)
            if is_large and time.monotonic() - self._refreshed_at > _SHOW_S:
                self._refresh(indices)
        if is_large:  # the next look shows what a few changes have become
            self._refresh(indices)
