"""How many documents of an index hold a code: the idf of a query's codes, the same on every shard."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_count


class CodeFrequencies:
    """Document counts of codes in one field of one index.

    keep_s: seconds that a count is remembered. most: the most counts in memory, oldest out first.
    """

    def __init__(
        self,
        cluster: Cluster,
        index: str,
        field: str,
        *,
        keep_s: float = 600.0,
        most: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._cluster, self._index, self._field = cluster, index, field
        self._keep_s, self._most, self._clock = keep_s, most, clock
        self._known: OrderedDict[str | None, tuple[float, int]] = OrderedDict()  # None stands for all documents

    def idf(self, codes: Sequence[str]) -> list[float]:
        """Return ln(1 + (N - n + 0.5) / (n + 0.5)) for each code, 0 for a code that no document holds.

        N: documents in the index. n: documents that hold the code.
        """
        counts = self._count([None, *codes])
        total = max(counts.values())  # a code's new count may exceed an old count of all
        return [math.log1p((total - counts[c] + 0.5) / (counts[c] + 0.5)) if counts[c] else 0.0 for c in codes]

    def _count(self, codes: Sequence[str | None]) -> dict[str | None, int]:
        now = self._clock()
        fresh = {
            c: n for c in codes if (known := self._known.get(c)) and now - known[0] < self._keep_s for n in [known[1]]
        }
        missing = [c for c in dict.fromkeys(codes) if c not in fresh]
        bodies = [build_count({"match_all": {}} if c is None else {"term": {self._field: c}}) for c in missing]
        for code, answer in zip(missing, self._cluster.msearch(self._index, bodies), strict=True):
            fresh[code] = int(answer["hits"]["total"]["value"])
            self._known[code] = (now, fresh[code])
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return fresh
