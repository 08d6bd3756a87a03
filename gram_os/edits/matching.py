"""What the cluster knows of documents that edits need: which queries find them, and the codes that they hold.

Both are asked for the version of a document that the caller has read. Knows no edits: queries have names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gram_os.cluster.bulk import TRANSIENT
from gram_os.cluster.client import Cluster
from gram_os.cluster.facts import RESULT_WINDOW
from gram_os.cluster.stored import DocumentKey, build_multi_get, read_key
from gram_os.edits.clauses import build_matches
from gram_os.errors import ClusterAuthError, ClusterError
from gram_os.fields import read_field

log = logging.getLogger(__name__)

Queries = Mapping[str, Mapping[str, Any]]

_TOGETHER: Final = 500  # documents in one request
_SAME_ID: Final = 20  # documents that may share an id


@dataclass(slots=True)
class Matcher:
    """Asks an index, or all indices of an alias.

    window: the last hit that the cluster returns for a query. broken: the names of queries that the cluster refuses.
    """

    cluster: Cluster
    name: str
    window: int = RESULT_WINDOW
    broken: set[str] = field(default_factory=set)

    def match(self, hits: Sequence[Mapping[str, Any]], queries: Queries) -> dict[DocumentKey, frozenset[str]]:
        """Return the names of the queries that find each document. One that has changed since it was read has none.

        A query that the cluster refuses is logged and left out; its name is in `broken` then.
        """
        found: dict[DocumentKey, frozenset[str]] = {}
        size = max(1, min(_TOGETHER, self.window // _SAME_ID))
        for at in range(0, len(hits) if queries else 0, size):
            found.update(self._match(hits[at : at + size], queries))
        return found

    def read_codes(self, keys: Sequence[DocumentKey], name: str) -> Iterator[Mapping[str, Any]]:
        """Yield the codes, attributes and weights of documents, whatever searches see; nothing for one that is gone.

        name: the object field of the label.
        """
        params = {"_source_includes": ",".join(f"{name}.{part}" for part in ("codes", "attributes", "weights"))}
        for at in range(0, len(keys), _TOGETHER):
            body = build_multi_get(keys[at : at + _TOGETHER])
            answer = self.cluster.request("POST", "/_mget", body, params=params, index=self.name)
            for found in answer["docs"]:
                yield read_field(found.get("_source", {}), name) or {}

    def find_broken(self, queries: Queries) -> set[str]:
        """Return the names of the queries that the cluster refuses. The mapping may have changed since they came."""
        refused = set()
        for name, query in queries.items():
            try:
                self.cluster.search(self.name, {"query": dict(query), "size": 0})
            except (*TRANSIENT, ClusterAuthError):
                raise
            except ClusterError as error:
                log.warning("edit %s: its query fails, so the edit waits: %s", name.partition(".")[0], error)
                refused.add(name)
        self.broken |= refused
        return refused

    def _match(self, hits: Sequence[Mapping[str, Any]], queries: Queries) -> dict[DocumentKey, frozenset[str]]:
        wanted = {read_key(hit): hit["_seq_no"] for hit in hits}
        found: dict[DocumentKey, frozenset[str]] = {}
        for is_again in (False, True):
            left = [key for key in wanted if key not in found]
            if is_again:  # searches may not see what the caller has read
                for index in sorted({key.index for key in left}):
                    self.cluster.refresh(index)
            for answer in self._search(left, queries) if left else ():
                key = read_key(answer)
                if wanted.get(key) == answer["_seq_no"]:
                    found[key] = frozenset(answer.get("matched_queries", ()))
        return found

    def _search(self, keys: Sequence[DocumentKey], queries: Queries) -> list[dict[str, Any]]:
        usable = {name: query for name, query in queries.items() if name not in self.broken}
        ids = sorted({key.id for key in keys})
        body = build_matches(ids, usable, min(self.window, _SAME_ID * len(ids)))
        try:
            return list(self.cluster.search(self.name, body, preference="_primary")["hits"]["hits"])
        except (*TRANSIENT, ClusterAuthError):
            raise
        except ClusterError:
            if not self.find_broken(usable):
                raise
            return self._search(keys, queries)
