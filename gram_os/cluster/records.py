"""Records of gram-os on the cluster: JSON documents in a hidden index that is made when the first one is written.

Progress, dead letters, waiting catalogue changes and people's edits are kept this way, so that a run goes on after a
crash, on the same machine or on another one. Each write can depend on what was read. Knows no record's meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from gram_os.cluster.blocks import explain_block
from gram_os.cluster.client import Cluster
from gram_os.errors import ClusterBusyError, ClusterError, IndexMissingError, IndexUnfitError

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read. seq_no, primary_term: the cluster's name for this version."""

    id: str
    body: Mapping[str, Any]
    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far the records of an index are written.

    uuid: tells the index from an earlier one of its name. seq_no: of the last record; -1 when nothing was written.
    """

    uuid: str
    seq_no: int


class Records:
    """The records of one kind.

    index: its name begins with ".gram-". properties: the mapping of what is searched; all other parts of a record are
    kept and not searchable.

    >>> from gram_os import Cluster, load_settings
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> notes = Records(cluster, ".gram-notes", {"topic": {"type": "keyword"}})
    >>> notes.create("1", {"topic": "tests", "text": "first"}), notes.create("1", {"topic": "tests"})
    (True, False)
    >>> [record.body["text"] for record in notes.find({"term": {"topic": "tests"}})]
    ['first']
    >>> cluster.delete_index(".gram-notes")
    """

    def __init__(self, cluster: Cluster, index: str, properties: Mapping[str, Any]):
        self.index = index
        self._cluster = cluster
        self._properties = properties
        self._is_made = False

    def get(self, id_: str) -> Record | None:
        """Return a record as it is now. None when it is not there."""
        try:
            found = self._cluster.request("GET", f"/{self.index}/_doc/{quote(id_, safe='')}", missing_ok=True)
        except IndexMissingError:
            return None
        return _read(found) if found.get("found") else None

    def get_many(self, ids: Sequence[str]) -> dict[str, Record]:
        """Return the records of these ids that are there."""
        if not ids:
            return {}
        try:
            found = self._cluster.request("POST", f"/{self.index}/_mget", {"ids": list(ids)}, index=self.index)["docs"]
        except IndexMissingError:
            return {}
        return {document["_id"]: _read(document) for document in found if document.get("found")}

    def put_many(self, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        """Write records, id -> body, whatever is there. Raises ClusterError for the first that is refused."""
        if not self._is_made:
            self._make_index()
        actions = [{"op": "index", "index": self.index, "id": id_, "body": body} for id_, body in bodies.items()]
        for item in self._cluster.bulk(actions):
            if item.blocked:
                raise explain_block(str(item.error), self.index)
            if not item.ok:
                raise ClusterError(f"index '{self.index}': record '{item.id}' was refused ({item.error})")

    def create(self, id_: str, body: Mapping[str, Any]) -> bool:
        """Write a new record. Return False when there is one of this id."""
        return self._write(id_, body, {"op_type": "create"}) is not None

    def put(self, id_: str, body: Mapping[str, Any], seen: Record | None = None) -> Record | None:
        """Write a record, and return it as it is now. With `seen` only if it is still as it was seen, else None."""
        condition = {} if seen is None else {"if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term}
        return self._write(id_, body, condition)

    def delete(self, id_: str, seen: Record | None = None) -> bool:
        """Delete a record, with `seen` only if it is still as it was seen. Return whether it is gone."""
        condition = {} if seen is None else {"if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term}
        path = f"/{self.index}/_doc/{quote(id_, safe='')}"
        try:
            return (
                self._cluster.request("DELETE", path, params=condition, conflict_ok=True, missing_ok=True) is not None
            )
        except IndexMissingError:
            return True

    def find(
        self, query: Mapping[str, Any] | None = None, *, sort: Sequence[str] = (), limit: int | None = None
    ) -> Iterator[Record]:
        """Yield the records that a query finds, all by default, with all writes so far.

        sort: fields, smallest first; records with equal values stand in the order in which they were written. limit:
        the most records. While the caller deletes or adds records, the rest is still yielded once.
        """
        body: dict[str, Any] = {
            "query": query or {"match_all": {}},
            "size": min(_PAGE, limit or _PAGE),
            "sort": [*sort, "_seq_no"],
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }
        try:
            self._cluster.refresh(self.index)
        except IndexMissingError:
            return
        left = limit
        while True:
            hits = self._cluster.search(self.index, body)["hits"]["hits"]
            for hit in hits if left is None else hits[:left]:
                yield _read(hit)
            left = None if left is None else left - len(hits)
            if len(hits) < body["size"] or (left is not None and left <= 0):
                return
            body["search_after"] = hits[-1]["sort"]

    def read_position(self) -> Position | None:
        """Return how far the records are written. `find` sees all of that later. None when there are no records."""
        kept = "indices.*.uuid,indices.*.shards.*.routing.primary,indices.*.shards.*.seq_no.global_checkpoint"
        params = {"level": "shards", "filter_path": kept, "ignore_unavailable": True}
        answer = self._cluster.request("GET", f"/{self.index}/_stats/docs", params=params, index=self.index)
        for found in answer.get("indices", {}).values():
            for copy in found.get("shards", {}).get("0", ()):
                if copy["routing"]["primary"] and "seq_no" in copy:
                    return Position(found["uuid"], int(copy["seq_no"]["global_checkpoint"]))
            raise ClusterBusyError(f"index '{self.index}': its primary is not there; try again later")
        return None

    def count(self, query: Mapping[str, Any] | None = None) -> int:
        """Return the number of records that a query finds, all by default, with all writes so far."""
        try:
            self._cluster.refresh(self.index)
            return self._cluster.count(self.index, query)
        except IndexMissingError:
            return 0

    def _write(self, id_: str, body: Mapping[str, Any], condition: Mapping[str, Any]) -> Record | None:
        if not self._is_made:
            self._make_index()
        path = f"/{self.index}/_doc/{quote(id_, safe='')}"
        done = self._cluster.request("PUT", path, body, params=condition, conflict_ok=True)
        return None if done is None else Record(id_, body, done["_seq_no"], done["_primary_term"])

    def _make_index(self) -> None:
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True}
        mapping = {"dynamic": False, "properties": dict(self._properties)}
        if not self._cluster.index_exists(self.index):
            with suppress(IndexUnfitError):  # somebody else was first
                self._cluster.create_index(self.index, {"settings": {"index": settings}, "mappings": mapping})
        self._is_made = True


def _read(found: Mapping[str, Any]) -> Record:
    return Record(found["_id"], found["_source"], found["_seq_no"], found["_primary_term"])
