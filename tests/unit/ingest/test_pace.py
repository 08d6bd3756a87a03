"""The pace against a clock that the test turns: a limit holds, refusals halve it, slow searches of others too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gram_os.ingest.pace import Pace, SearchLoad

CHUNK = 100


@dataclass
class Machine:
    """Writes a chunk in `chunk_s` seconds, and searches get slow while more than `bearable` documents a second come.

    written: documents by the second in which they were written.
    """

    bearable: float = float("inf")
    chunk_s: float = 0.02
    now: float = 0.0
    searches: float = 1000.0
    milliseconds: float = 10_000.0
    busy: Callable[[float], bool] = lambda _: False
    written: dict[int, int] = field(default_factory=dict)
    pace: Pace | None = None

    def sleep(self, seconds: float) -> None:
        load = self.written.get(int(self.now) - 1, 0)
        self.now += seconds
        self.searches += 50 * seconds
        self.milliseconds += 50 * seconds * (10.0 if load <= self.bearable else 60.0)

    def look(self) -> SearchLoad:
        return SearchLoad(int(self.searches), int(self.milliseconds))

    def run(self, seconds: float, rate: float | None = None) -> dict[int, int]:
        self.pace = Pace(rate=rate, look=self.look, clock=lambda: self.now, sleep=self.sleep)
        while self.now < seconds:
            self.pace.wait(CHUNK)
            if self.busy(self.now):
                self.pace.slow_down()
            self.sleep(self.chunk_s)
            self.written[int(self.now)] = self.written.get(int(self.now), 0) + CHUNK
        return self.written


def _mean(written: dict[int, int], first: int, last: int) -> float:
    return sum(written.get(second, 0) for second in range(first, last)) / (last - first)


def test_without_trouble_nothing_waits() -> None:
    machine = Machine()
    assert _mean(machine.run(20), 1, 19) == pytest.approx(CHUNK / machine.chunk_s, rel=0.02)
    assert machine.pace is not None and machine.pace.throttled_ms == 0 and machine.pace.limit is None


def test_a_rate_holds() -> None:
    machine = Machine()
    assert _mean(machine.run(20, rate=400), 1, 19) == pytest.approx(400, rel=0.03)
    assert machine.pace is not None and machine.pace.throttled_ms > 10_000


def test_slow_searches_of_others_halve_it_until_they_are_fast_again() -> None:
    written = Machine(bearable=1000).run(120)
    late = [written[second] for second in range(40, 119)]
    assert sum(load <= 1000 for load in late) > 0.7 * len(late)  # most of the time it stays below
    assert _mean(written, 40, 119) > 500  # and not much below


def test_a_refusal_halves_it_once_between_two_looks_and_it_recovers() -> None:
    machine = Machine(busy=lambda now: 10.5 < now < 11)
    written = machine.run(60)
    assert _mean(written, 2, 10) == pytest.approx(5000, rel=0.02)
    assert 2000 < _mean(written, 12, 14) < 3000
    assert _mean(written, 50, 59) == pytest.approx(5000, rel=0.05)


def test_a_small_rate_holds_under_refusals_too() -> None:
    written = Machine(busy=lambda now: 10 < now < 30).run(60, rate=20)
    assert _mean(written, 10, 59) <= 21


def test_it_never_passes_the_users_rate_and_never_stops() -> None:
    written = Machine(busy=lambda now: now < 30).run(60, rate=500)
    assert max(written.values()) <= 500 + CHUNK
    assert _mean(written, 10, 30) >= 50
    assert _mean(written, 50, 59) > 250
