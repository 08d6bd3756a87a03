"""How fast documents are written: as fast as the cluster takes them, and slower as soon as its searches suffer.

Additive increase, multiplicative decrease, as TCP does it. The rate is halved when the cluster refuses work (429, 503,
no answer in time), or when the searches of others take more than twice as long as they did at their best. Else it grows
by a step at each look. A user's `--rate` is never passed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from gram_os.cluster.client import Cluster
from gram_os.errors import ClusterError

_LOOK_S: Final = 2.0
_LEAST: Final = 50.0  # documents a second
_STEP: Final = 0.1  # of the highest rate so far, at each look
_SLOW: Final = 2.0  # times the best mean
_NOISE_MS: Final = 1.0
_ENOUGH: Final = 20  # searches of others between two looks


@dataclass(frozen=True, slots=True)
class SearchLoad:
    """What searches have cost an index so far: how many shards were asked, and for how long."""

    searches: int
    milliseconds: int


def read_search_load(cluster: Cluster, name: str) -> SearchLoad:
    """Read the search statistics of an index, or of all indices of an alias."""
    kept = "_all.total.search.query_total,_all.total.search.query_time_in_millis"
    path = f"/{quote(name, safe='*,')}/_stats/search"
    found: Any = cluster.request("GET", path, params={"filter_path": kept}, index=name)
    search = found.get("_all", {}).get("total", {}).get("search", {})
    return SearchLoad(int(search.get("query_total", 0)), int(search.get("query_time_in_millis", 0)))


class Pace:
    """The rate of one process. Its threads share it.

    rate: the most documents a second; None sets no limit. look: returns the searches of others so far (ours taken off).
    throttled_ms: how long writers have waited. retries: requests that were sent again.

    >>> pace = Pace(rate=1000.0)
    >>> pace.wait(10); pace.slow_down(); pace.retries
    1
    """

    def __init__(
        self,
        *,
        rate: float | None = None,
        look: Callable[[], SearchLoad] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.throttled_ms = 0.0
        self.retries = 0
        self._most, self._look, self._clock, self._sleep = rate, look, clock, sleep
        self._lock = threading.Lock()
        self._limit: float | None = rate  # what holds now
        self._seen_rate = 0.0  # documents a second since the last look
        self._documents, self._looked_at, self._free_at = 0, clock(), clock()
        self._is_slowed = False
        self._load = look() if look else SearchLoad(0, 0)
        has_known = self._load.searches >= _ENOUGH
        self._best_ms = self._load.milliseconds / self._load.searches if has_known else None

    @property
    def limit(self) -> float | None:
        """The documents a second that are allowed now. None: no limit."""
        return self._limit

    def wait(self, documents: int) -> None:
        """Wait until so many documents may be written."""
        with self._lock:
            self._documents += documents
            now = self._clock()
            if now - self._looked_at >= _LOOK_S:
                self._adapt(now)
            pause = max(0.0, self._free_at - now)
            if self._limit is not None:
                self._free_at = max(self._free_at, now) + documents / self._limit
            self.throttled_ms += 1000 * pause
        if pause:
            self._sleep(pause)

    def slow_down(self) -> None:
        """Halve the rate, because the cluster refused work. Between two looks it is halved once."""
        with self._lock:
            self.retries += 1
            if not self._is_slowed:
                self._halve()

    def _halve(self) -> None:
        elapsed = max(self._clock() - self._looked_at, 0.1)
        now = self._limit or self._seen_rate or self._documents / elapsed
        least = _LEAST if self._most is None else min(_LEAST, self._most)
        self._limit = max(least, now / 2)
        self._is_slowed = True

    def _adapt(self, now: float) -> None:
        """Look at what happened since the last look, and set the limit."""
        self._seen_rate = self._documents / (now - self._looked_at)
        if self._are_searches_slow() and not self._is_slowed:
            self._halve()
        elif not self._is_slowed and self._limit is not None and self._limit != self._most:
            grown = self._limit + max(_LEAST, _STEP * max(self._seen_rate, self._limit))
            is_free = self._seen_rate < 0.5 * grown  # something else holds us back, so no limit is needed
            self._limit = self._most if is_free else min(grown, self._most or grown)
        self._documents, self._looked_at, self._is_slowed = 0, now, False

    def _are_searches_slow(self) -> bool:
        if self._look is None:
            return False
        try:
            load = self._look()
        except ClusterError:
            return False  # writers will meet the trouble themselves
        before, self._load = self._load, load
        searches = load.searches - before.searches
        if searches < _ENOUGH:
            return False
        mean = max(0, load.milliseconds - before.milliseconds) / searches
        self._best_ms = mean if self._best_ms is None else min(mean, self._best_ms * 1.02)  # the catalogue may grow
        return mean > _SLOW * self._best_ms + _NOISE_MS
