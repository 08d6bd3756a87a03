"""The start-up benchmark on a real node: a search in a new process, and the parts of its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.start_up import INDEX, coded_index, measure
from gram_os.cluster.client import Cluster

pytestmark = pytest.mark.integration


def test_the_search_and_its_parts_are_timed_and_nothing_is_left(cluster: Cluster, tmp_path: Path) -> None:
    with coded_index(cluster, 80):
        found = {m.name: m for m in measure(cluster.url, 1, tmp_path)}
    assert not cluster.index_exists(INDEX)
    assert found["start.search"].goal == 2.0
    assert 0.1 < found["start.search.cpu"].value < 60
    for part in ("import command line", "connect", "verify bundle", "open graphs", "first search"):
        assert 0 < found[f"start.{part}.cpu"].value < found["start.search.cpu"].value
    assert any(tmp_path.rglob("*.pyc"))
