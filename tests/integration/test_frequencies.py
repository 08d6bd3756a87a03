"""Document counts of codes on a real index: equal to hand counts, remembered, forgotten in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.query_pipeline.frequencies import CodeFrequencies
from tests.conftest import MakeIndex

pytestmark = pytest.mark.integration

FIELD = "gram_v1.codes"
CODES = {"1": ["toner", "black | toner"], "2": ["toner"], "3": ["mouse"], "4": [], "5": ["Toner"]}


class Counted:
    """The cluster, and the number of searches in each request."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self.sizes: list[int] = []

    def msearch(self, index: str, bodies: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        self.sizes.append(len(bodies))
        return self._cluster.msearch(index, bodies)


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex) -> str:
    name = make_index(settings={"number_of_shards": 3, "number_of_replicas": 0})
    attach(cluster, name, LabelState("v1", "a" * 12, "title"))
    _write(cluster, name, CODES)
    return name


def _write(cluster: Cluster, index: str, codes: Mapping[str, list[str]]) -> None:
    actions = [
        {"op": "index", "index": index, "id": id_, "body": {"gram_v1": {"codes": of}}} for id_, of in codes.items()
    ]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(codes)
    cluster.refresh(index)


def _idf(total: int, count: int) -> float:
    return log(1 + (total - count + 0.5) / (count + 0.5))


def test_equal_to_hand_counts(cluster: Cluster, index: str) -> None:
    found = CodeFrequencies(cluster, index, FIELD).idf(["toner", "black | toner", "mouse", "black", "Toner"])
    assert found == pytest.approx([_idf(5, 2), _idf(5, 1), _idf(5, 1), 0.0, _idf(5, 1)])


def test_repeated_codes_are_asked_for_once(cluster: Cluster, index: str) -> None:
    counted = Counted(cluster)
    found = CodeFrequencies(counted, index, FIELD).idf(["toner", "mouse", "toner"])  # type: ignore[arg-type]
    assert found[0] == found[2] == pytest.approx(_idf(5, 2))
    assert counted.sizes == [3]  # all documents, toner, mouse


def test_counts_are_remembered_and_expire(cluster: Cluster, index: str) -> None:
    counted, now = Counted(cluster), [0.0]
    frequencies = CodeFrequencies(counted, index, FIELD, keep_s=60, clock=lambda: now[0])  # type: ignore[arg-type]
    before = frequencies.idf(["toner", "absent"])
    _write(cluster, index, {"6": ["toner", "absent"]})
    now[0] = 59.9
    assert frequencies.idf(["toner", "absent"]) == before == pytest.approx([_idf(5, 2), 0.0])
    assert sum(counted.sizes) == 3
    now[0] = 60.0
    assert frequencies.idf(["toner", "absent"]) == pytest.approx([_idf(6, 3), _idf(6, 1)])
    assert sum(counted.sizes) == 6


def test_only_what_is_missing_is_asked_for(cluster: Cluster, index: str) -> None:
    counted = Counted(cluster)
    frequencies = CodeFrequencies(counted, index, FIELD)  # type: ignore[arg-type]
    frequencies.idf(["toner"])
    frequencies.idf(["toner", "mouse"])
    frequencies.idf(["toner"])
    assert counted.sizes == [2, 1, 0]


def test_memory_is_bounded(cluster: Cluster, index: str) -> None:
    counted = Counted(cluster)
    frequencies = CodeFrequencies(counted, index, FIELD, most=2)  # type: ignore[arg-type]
    codes = ["toner", "mouse", "Toner"]
    assert frequencies.idf(codes) == pytest.approx([_idf(5, 2), _idf(5, 1), _idf(5, 1)])
    assert frequencies.idf(["Toner"]) == pytest.approx([_idf(5, 1)])
    assert counted.sizes == [4, 1]  # the count of all documents was the oldest


def test_weight_stays_positive_while_an_index_is_filled(cluster: Cluster, index: str) -> None:
    frequencies = CodeFrequencies(cluster, index, FIELD)
    frequencies.idf(["mouse"])  # remembers that there are five documents
    _write(cluster, index, {f"more{n}": ["lamp"] for n in range(20)})
    assert frequencies.idf(["lamp"]) == pytest.approx([_idf(20, 20)])


def test_no_codes(cluster: Cluster, index: str) -> None:
    assert CodeFrequencies(cluster, index, FIELD).idf([]) == []
