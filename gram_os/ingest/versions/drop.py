"""A label out of an index: first out of the mapping's `_meta`, so that nobody goes on with it, then out of documents.

Each document is written back whole, without the label's field, and only if it is still what was read (`writing`). Only
documents that have the field are read, so a second run finishes what the first one left. The field stays in the
mapping, empty, because the cluster cannot take it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from gram_os.cluster.blocks import explain_block
from gram_os.cluster.bulk import CHUNK
from gram_os.cluster.checks import check_index, require_fit
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import code_field
from gram_os.cluster.facts import IndexFacts
from gram_os.cluster.labels import Attachment, read_attachment
from gram_os.cluster.records import Record
from gram_os.cluster.source_filter import find_wordy_fields, read_source_filter
from gram_os.cluster.stored import read_key
from gram_os.errors import ClusterUnreachableError, IndexMissingError, IndexUnfitError
from gram_os.files.raw_json import remove_member, split_object
from gram_os.ingest import dead_letters, slices
from gram_os.ingest.backfill_job import stop_jobs
from gram_os.ingest.feed import PAGE, Shard, ShardReader, look_at_shards
from gram_os.ingest.pace import Pace, read_search_load
from gram_os.ingest.versions.coverage import Store, find_mapped_labels, read_store
from gram_os.ingest.versions.switch import Gram, change_labels, renew_templates
from gram_os.ingest.writing import Refusal, Rewrite, rewrite_documents

_MOST_PASSES: Final = 5
_NEEDED: Final = ("name", "writes", "updates", "_source", "rights")  # checks; the others are about new codes
_PARTS: Final = ("source", "codes", "attributes", "coded_at", "probabilities")  # `weights` takes no `exists`
_WATCH_S: Final = 30.0  # a watch looks for its label every ten seconds
_WORKER_S: Final = 15.0  # a worker of a backfill renews its lease every ten seconds, and writes its last chunk then
_SPARED: Final = 0.1  # of a segment's documents: with fewer deleted ones it is left alone
_KEPT_S: Final = 45.0
_LOOK_S: Final = 3.0
_MERGE_S: Final = 6 * 3600.0


@dataclass(slots=True)
class DropReport:
    """What a drop did.

    was_attached: False when an earlier drop had taken the label out of `_meta` already. documents: written back without
    the field. conflicts: documents that somebody changed meanwhile, which were then read again. refused: documents that
    could not be written back, each with its reason. left: documents that have the field in the end. letters: dead
    letters of the label that are gone. before, after: the store. expunged: the store behind the merge, when there was
    one.
    """

    label: str
    before: Store
    after: Store
    was_attached: bool = True
    documents: int = 0
    conflicts: int = 0
    refused: list[Refusal] = field(default_factory=list)
    left: int = 0
    letters: int = 0
    expunged: Store | None = None


def drop_label(
    cluster: Cluster,
    name: str,
    label: str,
    *,
    rate: float | None = None,
    expunge: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> DropReport:
    """Take a label out of an index, or out of all indices of an alias.

    rate: the most documents a second, None for no limit; searches of others slow the drop down too. expunge: merge what
    deleted documents hold, and wait for that. progress: called with the number of documents that are settled since the
    last call.

    Raises IndexMissingError. Raises IndexUnfitError when the label is the active one, when there is no such label, and
    when documents cannot be written back safely. Nothing is changed then. Raises other ClusterErrors. What was done
    until then stays, and the next run goes on from there.
    """
    return _Drop(cluster, name, label, rate, progress).run(expunge=expunge)


def count_labelled(cluster: Cluster, name: str, label: str) -> int:
    """Return the number of documents that have codes of a label, attached or not. Raises IndexMissingError."""
    cluster.refresh(name)
    return cluster.count(name, _build_query(label))


class _Drop:
    """One drop on its way."""

    def __init__(self, cluster: Cluster, name: str, label: str, rate: float | None, progress: Callable[[int], None]):
        indices = cluster.get_indices(name)
        was_attached = _require_droppable(cluster, indices, name, label)
        for facts in indices:
            _require_writable(cluster, facts, label)
        self._name, self._label, self._indices, self._progress = name, label, indices, progress
        self._pace = Pace(rate=rate, look=partial(read_search_load, cluster, name))
        self._plain, self._cluster = cluster, cluster.patient(replace(cluster.backoff, on_retry=self._pace.slow_down))
        self._state = slices.open_state(self._cluster)
        self._is_filtered = any(not read_source_filter(facts.mapping).is_open for facts in indices)
        self._wordy = frozenset().union(*(find_wordy_fields(facts.mapping) for facts in indices))
        self._busy_until = 0.0
        before = read_store(cluster, name)
        self.report = DropReport(label, before, before, was_attached)

    def run(self, *, expunge: bool) -> DropReport:
        """Take the label out of `_meta`, out of the documents, and out of our own records."""
        starts: dict[str, int] = {}
        for turn in range(_MOST_PASSES):
            for facts in self._indices:  # each time: a watch that has not noticed yet may have attached it again
                change_labels(self._cluster, facts.name, self._detach)
            renew_templates(self._cluster, self._name)
            if turn == 0 and stop_jobs(self._state, self._label, self._is_ours):
                self._busy_until = time.monotonic() + _WORKER_S
            shards = look_at_shards(self._cluster, self._name)
            self._cluster.refresh(self._name)
            self.report.refused.clear()
            for shard in shards:
                self._sweep(shard, starts.get(shard.key, -1))
            self._wait_for_others()
            self.report.left = self._count()
            if self.report.left <= len(self.report.refused):
                break
        self._forget()
        self._settle_store(expunge=expunge)
        return self.report

    def _detach(self, gram: Gram) -> Gram:
        if gram["active"] == self._label:
            raise IndexUnfitError(
                f"label '{self._label}' of '{self._name}' became the active one; nothing more is done"
            )
        return {**gram, "labels": {name: kept for name, kept in gram["labels"].items() if name != self._label}}

    def _count(self) -> int:
        return count_labelled(self._cluster, self._name, self._label)

    def _sweep(self, shard: Shard, after: int) -> None:
        """Write the documents of a shard back without the field."""
        window = next(facts.result_window for facts in self._indices if facts.name == shard.index)
        wanted = [f"{code_field(self._label)}.source"]  # nothing of the document is needed before it is written
        reader = ShardReader(self._cluster, shard, _build_query(self._label), wanted, min(PAGE, window))
        for page in reader.pages(after, shard.checkpoint):
            for start in range(0, len(page.hits), CHUNK):
                self._write(page.hits[start : start + CHUNK])

    def _write(self, hits: Sequence[Mapping[str, Any]]) -> None:
        if self._is_filtered:  # a writer may have brought a field that _source leaves out
            for facts in self._cluster.get_indices(self._name):
                _require_writable(self._cluster, facts, self._label)
        change = partial(remove_field, name=code_field(self._label))
        rewrites = [Rewrite(read_key(hit), hit["_seq_no"], hit["_primary_term"], change) for hit in hits]
        self._pace.wait(len(rewrites))
        outcome = rewrite_documents(self._cluster, rewrites, self._wordy)
        self.report.documents += len(outcome.written)
        self.report.conflicts += len(outcome.conflicts)
        self.report.refused += outcome.refused
        self._progress(len(outcome.written) + len(outcome.deleted) + len(outcome.refused))
        if outcome.block is not None:
            done = f"{self.report.documents} documents were written back without '{code_field(self._label)}'"
            raise explain_block(outcome.block, self._name, progress=done)

    def _is_ours(self, name: str) -> bool:
        """Say whether a name, maybe an alias, stands for one of the indices."""
        ours = {facts.name for facts in self._indices}
        if name == self._name or name in ours:
            return True
        with suppress(IndexMissingError):
            return any(facts.name in ours for facts in self._cluster.get_indices(name))
        return False

    def _wait_for_others(self) -> None:
        """Wait until nobody writes the label. Who has died on another machine is waited for in vain."""
        time.sleep(max(0.0, self._busy_until - time.monotonic()))
        query = {"bool": {"filter": [{"term": {"kind": "watching"}}, {"term": {"label": self._label}}]}}
        until = time.monotonic() + _WATCH_S
        while time.monotonic() < until:
            records = [record for record in self._state.find(query) if self._is_ours(str(record.body["index"]))]
            owners = [str(record.body["owner"]) for record in records if record.body.get("owner")]
            if all(slices.is_dead(owner) for owner in owners):
                return
            time.sleep(0.5)

    def _forget(self) -> None:
        """Delete dead letters, watch positions and finished backfills of the label."""
        names = [facts.name for facts in self._indices]
        letters: list[dict[str, Any]] = [{"term": {"label": self._label}}, {"terms": {"index": names}}]
        self.report.letters = _delete_records(self._cluster, dead_letters.INDEX, letters)
        uuids = {shard.uuid for shard in look_at_shards(self._cluster, self._name)}
        query = {
            "bool": {
                "filter": [{"terms": {"kind": ["watch", "watching", "backfill"]}}, {"term": {"label": self._label}}]
            }
        }
        for record in list(self._state.find(query)):
            if self._is_of_label(record, uuids):
                self._state.delete(record.id)

    def _is_of_label(self, record: Record, uuids: set[str]) -> bool:
        if record.body["kind"] == "backfill":  # a worker that may still run must find that its job is done
            return not self._busy_until and self._is_ours(str(record.body["name"]))
        if record.body["kind"] == "watching":
            return self._is_ours(str(record.body["index"]))
        return any(f".{uuid}." in record.id for uuid in uuids)

    def _settle_store(self, *, expunge: bool) -> None:
        self.report.after = read_store(self._cluster, self._name)
        if expunge:
            self.report.expunged = _expunge(self._plain, self._name)


def _build_query(label: str) -> dict[str, Any]:
    return {"bool": {"should": [{"exists": {"field": f"{code_field(label)}.{part}"}} for part in _PARTS]}}


def remove_field(text: str, name: str) -> str:
    """Return a document without a field, also where its writer flattened it.

    >>> remove_field('{"title": "HP", "gram_v1": {"codes": ["hp"]}, "gram_v1.source": "7", "gram_v10": 1.0}', "gram_v1")
    '{"title": "HP", "gram_v10": 1.0}'
    """
    members = split_object(text) if f"{name}." in text else []
    below = {member.name for member in members if member.name.startswith(f"{name}.")}
    for one in (name, *below):
        text = remove_member(text, one)
    return text


def _require_droppable(cluster: Cluster, indices: Sequence[IndexFacts], name: str, label: str) -> bool:
    """Return whether the label is attached somewhere. Raises IndexUnfitError when it may not be dropped."""
    found = {facts.name: read_attachment(cluster, facts.name) or Attachment("", {}) for facts in indices}
    for index, attachment in found.items():
        if attachment.active == label:
            others = ", ".join(other for other in attachment.labels if other != label) or "there is no other yet"
            raise IndexUnfitError(
                f"label '{label}' is the active one of index '{index}', and searches use it; promote another one first "
                f"({others}): gram-os label promote LABEL --index {name}"
            )
    if any(label in attachment.labels for attachment in found.values()):
        return True
    if not any(label in find_mapped_labels(facts.mapping) for facts in indices):
        known = ", ".join(dict.fromkeys(known for attachment in found.values() for known in attachment.labels))
        raise IndexUnfitError(f"index '{name}' has no label '{label}'" + (f", only {known}" if known else ""))
    return False


def _require_writable(cluster: Cluster, facts: IndexFacts, label: str) -> None:
    """Check that documents can be written back. Raises IndexUnfitError."""
    attachment = read_attachment(cluster, facts.name)
    states = [] if attachment is None else list(attachment.labels.values())
    title = states[0].title_field if states else "title"
    checks = check_index(cluster, facts.name, label, title)
    require_fit([check for check in checks if check.name in _NEEDED], facts.name)


def _delete_records(cluster: Cluster, index: str, filters: Sequence[Mapping[str, Any]]) -> int:
    """Delete records of ours, and return how many there were."""
    with suppress(IndexMissingError):
        cluster.refresh(index)
        body = {"query": {"bool": {"filter": list(filters)}}}
        params = {"conflicts": "proceed", "refresh": True}
        return int(cluster.request("POST", f"/{index}/_delete_by_query", body, params=params, index=index)["deleted"])
    return 0


def _expunge(cluster: Cluster, name: str) -> Store:
    """Merge the segments with many deleted documents, wait for it, and return the store then.

    The cluster keeps deleted documents for a while, so that a copy that was away can catch up. Every 30 seconds it sees
    which ones are needed no more, and a merge before that frees nothing.
    """
    path = quote(name, safe="*,")
    until = time.monotonic() + _KEPT_S
    while True:
        cluster.request("POST", f"/{path}/_flush", index=name)
        try:
            cluster.with_timeout(_MERGE_S).request(
                "POST", f"/{path}/_forcemerge", params={"only_expunge_deletes": True}, index=name
            )
        except ClusterUnreachableError as error:
            note = (
                f"the label is dropped, and the merge may still run: GET /_tasks?actions=*forcemerge* (index '{name}')"
            )
            raise ClusterUnreachableError(f"{error} ({note})") from error
        cluster.request("POST", f"/{path}/_flush", index=name)
        cluster.refresh(name)
        store = read_store(cluster, name)
        if store.deleted <= _SPARED * (cluster.count(name) + store.deleted) or time.monotonic() > until:
            return store
        time.sleep(_LOOK_S)
