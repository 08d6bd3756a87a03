"""The benchmark of simultaneous queries: its queries and its figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from benchmarks.concurrent_queries import draw_queries, measure, time_clients
from gram_os.model.coded import CodedText
from tests.bundles import make_generator


@dataclass(slots=True)
class SlowCoder:
    """Answers after 5 ms. Records its queries, and counts how many it answers at the same time."""

    queries: list[str] = field(default_factory=list)
    now: int = 0
    most: int = 0
    lock: Lock = field(default_factory=Lock)

    def code_queries(self, texts: Sequence[str]) -> list[CodedText]:
        with self.lock:
            self.queries += texts
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.005)
        with self.lock:
            self.now -= 1
        return [CodedText() for _ in texts]


def test_queries_are_short_and_no_two_alike() -> None:
    queries = draw_queries(300)
    assert len(set(queries)) == len(queries) == 300
    assert all(1 <= len(query.split()) <= 3 for query in queries)


def test_clients_ask_at_once_and_each_query_is_timed() -> None:
    coder = SlowCoder()
    texts = [str(at) for at in range(20)]
    found = {m.name: m.value for m in time_clients("x", coder, texts, 4)}
    assert sorted(coder.queries) == sorted([*texts, *texts[:4]])
    assert 1 < coder.most <= 4
    assert found["x.4.p95"] >= found["x.4.p50"] >= 5
    assert found["x.4.rate"] < 4 / 0.005


def test_every_system_has_its_figures(tmp_path: Path) -> None:
    found = {m.name: m for m in measure(make_generator(tmp_path), ["toner", "hp", "laptop"], [1, 2])}
    assert {name.split(".")[0] for name in found} == {"batch", "alone", "single", "batched", "remembered"}
    assert found["batch.invariant"].value == 1
    assert found["batched.2.p50"].value > 0
    assert found["remembered.1.p95"].goal == 0.2
