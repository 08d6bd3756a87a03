"""The change feed of an index: its documents in the order in which they were last written, shard by shard.

Every write gets the next number of its shard (`_seq_no`). So "what was written since" is a range of numbers, whoever
wrote it and how: full documents, partial updates, bulk, reindex. A document that is written again leaves its old number
and gets a new one, so each document is in the feed once. A deleted document is not in it.

A number is safe to pass up to the shard's global checkpoint: every write below it is on all copies, and no failover
takes it back. The checkpoint is read first and the shard is refreshed then, so searches see everything below it.

A feed needs no point in time on the cluster. A reader that stops for a day goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from gram_os.cluster.client import Cluster
from gram_os.errors import ClusterBusyError

PAGE: Final = 1000  # documents in one request, unless the index allows fewer
_WIDEST: Final = 1 << 24  # numbers in one request


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of an index, as it was looked at.

    index: the index's own name. uuid: tells it from an earlier index of that name. checkpoint: the last number that is
    safe to pass, -1 in an empty shard.
    """

    index: str
    uuid: str
    number: int
    checkpoint: int

    @property
    def key(self) -> str:
        """What names the shard for good."""
        return f"{self.uuid}.{self.number}"


@dataclass(frozen=True, slots=True)
class Page:
    """Hits of a shard by their numbers, smallest first. position: all documents up to this number have been yielded."""

    hits: Sequence[Mapping[str, Any]]
    position: int


def look_at_shards(cluster: Cluster, name: str) -> list[Shard]:
    """Return the shards of an index, or of all indices of an alias, in order.

    Raises IndexMissingError. Raises ClusterBusyError when a primary is not there at the moment.
    """
    path = f"/{quote(name, safe='*,')}/_stats/docs"
    kept = "indices.*.uuid,indices.*.shards.*.routing,indices.*.shards.*.seq_no,_shards.total"
    answer = cluster.request("GET", path, params={"level": "shards", "filter_path": kept}, index=name)
    shards: list[Shard] = []
    for index, found in sorted(answer.get("indices", {}).items()):
        copies = {int(number): _find_primary(parts) for number, parts in found.get("shards", {}).items()}
        for number in range(max(copies, default=0) + 1):
            primary = copies.get(number)
            if primary is None:
                raise ClusterBusyError(f"index '{index}': the primary of shard {number} is not there; try again later")
            shards.append(Shard(index, found["uuid"], number, int(primary["seq_no"]["global_checkpoint"])))
    if not shards:
        raise ClusterBusyError(f"index '{name}': no shard answers; try again later")
    return shards


def _find_primary(copies: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the primary that serves. A shard that is being started has no numbers yet."""
    serving = (copy for copy in copies if copy["routing"]["primary"] and "seq_no" in copy)
    return next((copy for copy in serving if copy["routing"]["state"] in ("STARTED", "RELOCATING")), None)


@dataclass(slots=True)
class ShardReader:
    """Reads a range of one shard, a page at a time, and the next page while the caller works.

    query: which documents. source: the fields of `_source` that the hits have. page: hits in one page.

    searches, took_ms: what the reading cost the cluster so far.
    """

    cluster: Cluster
    shard: Shard
    query: Mapping[str, Any]
    source: Sequence[str]
    page: int = PAGE
    searches: int = field(default=0, init=False)
    took_ms: int = field(default=0, init=False)

    def pages(self, after: int, last: int) -> Iterator[Page]:
        """Yield the documents whose numbers are above `after` and at most `last`. Empty pages are yielded too."""
        if after >= last:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="gram-os-reading") as pool:
            width = self.page
            ahead = pool.submit(self._read, after, last, width)
            while True:
                page = ahead.result()
                # Few of the numbers are in use where documents were written many times.
                width = min(2 * width, _WIDEST) if 2 * len(page.hits) < self.page else max(width // 2, self.page)
                if page.position < last:
                    ahead = pool.submit(self._read, page.position, last, width)
                yield page
                if page.position >= last:
                    return

    def _read(self, after: int, last: int, width: int) -> Page:
        """Read one page of up to `width` numbers."""
        until = min(after + width, last)
        numbers = {"range": {"_seq_no": {"gt": after, "lte": until}}}
        body = {
            "query": {"bool": {"filter": [numbers, dict(self.query)]}},
            "sort": ["_seq_no"],
            "size": self.page,
            "seq_no_primary_term": True,
            "track_total_hits": False,
            "_source": list(self.source),
        }
        # Only the primary has seen every write up to its checkpoint, also where copies are made of segments.
        where = f"_shards:{self.shard.number}|_primary"
        answer = self.cluster.search(self.shard.index, body, preference=where)
        self.searches += 1
        self.took_ms += int(answer["took"])
        hits = answer["hits"]["hits"]
        return Page(hits, until if len(hits) < self.page else hits[-1]["_seq_no"])
