"""The codes of the queries that are asked most, kept in memory in front of a generator.

Least recently asked ones go first. A bundle's codes never change, so nothing here grows stale: another bundle is another
generator and begins with an empty memory. Safe for several threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import getsizeof
from threading import Lock

from cachetools import LRUCache

from gram_os.model.generator import ScoredCode
from gram_os.query_pipeline.search import CodeGenerator, normalise_query

MEGABYTE = 1_000_000
_PLACE = 250  # bytes that the cache itself needs for an entry: its tables and its links


@dataclass(frozen=True, slots=True)
class HeadQueryStatistics:
    """What the memory holds and what it saved; oldest_s: seconds since its oldest codes were made, 0 when it is empty."""

    queries: int
    megabytes: float
    hits: int
    misses: int
    oldest_s: float

    @property
    def hit_rate(self) -> float:
        """The share of queries that the generator was not asked for, 0 before the first one."""
        return self.hits / max(1, self.hits + self.misses)


@dataclass(frozen=True, slots=True)
class _Entry:
    codes: tuple[ScoredCode, ...]
    size: int
    made: float


class HeadQueries:
    """A `CodeGenerator` that remembers, in at most `megabytes` of memory.

    Queries that differ in case and spaces only are one: the generator is asked for the text in lower case with single
    spaces, so that no answer depends on who asked first.
    """

    def __init__(self, generator: CodeGenerator, *, megabytes: float, clock: Callable[[], float] = time.monotonic):
        self._generator, self._clock = generator, clock
        self._kept: LRUCache[str, _Entry] = LRUCache(megabytes * MEGABYTE, getsizeof=lambda entry: entry.size)
        self._lock = Lock()
        self._hits = self._misses = 0

    def code_queries(self, texts: Sequence[str]) -> list[list[ScoredCode]]:
        """See `CodeGenerator.code_queries`."""
        keys = [normalise_query(text) for text in texts]
        with self._lock:
            found = {key: entry.codes for key in keys if (entry := self._kept.get(key)) is not None}
            missing = [key for key in dict.fromkeys(keys) if key not in found]
            self._misses += len(missing)
            self._hits += len(keys) - len(missing)
        if missing:
            made = dict(zip(missing, map(tuple, self._generator.code_queries(missing)), strict=True))
            found |= made
            self._keep(made)
        return [list(found[key]) for key in keys]

    def statistics(self) -> HeadQueryStatistics:
        """What is held now, and hits and misses since the start."""
        with self._lock:
            entries = list(self._kept.values())
            now = self._clock()
            return HeadQueryStatistics(
                queries=len(entries),
                megabytes=self._kept.currsize / MEGABYTE,
                hits=self._hits,
                misses=self._misses,
                oldest_s=now - min((entry.made for entry in entries), default=now),
            )

    def _keep(self, made: dict[str, tuple[ScoredCode, ...]]) -> None:
        with self._lock:
            for key, codes in made.items():
                size = _PLACE + getsizeof(key) + _measure(codes)
                if size <= self._kept.maxsize:
                    self._kept[key] = _Entry(codes, size, self._clock())


def _measure(codes: tuple[ScoredCode, ...]) -> int:
    """Bytes of the codes and all that they hold; a value that several codes share counts for each."""
    size = getsizeof(codes)
    for scored in codes:
        size += getsizeof(scored) + getsizeof(scored.weight) + getsizeof(scored.code)
        size += getsizeof(scored.code.values) + sum(map(getsizeof, scored.code.values))
        probabilities = scored.probabilities or ()
        size += getsizeof(probabilities) + sum(map(getsizeof, probabilities))
    return size
