"""Evaluation over a real index: BM25 by hand, titles, products that the index lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from gram_os.catalogue import Query
from gram_os.cli.evaluate import evaluate_index
from gram_os.cluster.client import Cluster
from gram_os.errors import InputError
from gram_os.relevance.lookup import find_titles
from tests.conftest import MakeIndex
from tests.unit.relevance.fakes import FakeHit, make_judgments

pytestmark = pytest.mark.integration

TITLES = {"p1": "red shoe", "p2": "red running shoe", "p3": "blue hat", "p4": None}


@dataclass(frozen=True)
class TitleMatch:
    """BM25 on the title, straight to the cluster."""

    cluster: Cluster
    index: str

    def search(self, text: str, size: int) -> Sequence[FakeHit]:
        body = {"query": {"match": {"title": text}}, "size": size}
        hits = self.cluster.search(self.index, body)["hits"]["hits"]
        return [FakeHit(hit["_id"], hit["_score"]) for hit in hits]


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex) -> str:
    name = make_index()
    actions = [
        {"op": "index", "index": name, "id": id_, "body": {"title": title} if title else {}}
        for id_, title in TITLES.items()
    ]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(TITLES)
    cluster.refresh(name)
    return name


def test_metrics_titles_and_missing_products(cluster: Cluster, index: str) -> None:
    judgments = make_judgments(
        {"q1": {"p1": 1.0, "p2": 1.0, "p3": 0.0}, "q2": {"p3": 1.0, "gone": 1.0}, "q3": {"gone": 1.0}}
    )
    queries = [Query("q1", "red shoe"), Query("q2", "hat"), Query("q3", "lamp")]
    found, titles = evaluate_index(cluster, index, {"bm25": TitleMatch(cluster, index)}, queries, judgments, at=[1, 10])
    measures = found.systems[0].measures
    assert list(measures["R@10"].values) == [1, 1 / 2, 0]
    assert list(measures["R@1"].values) == [1 / 2, 1 / 2, 0]
    assert list(measures["judged@10"].values) == [1, 1, 0]  # hits: p1 p2, all judged; p3; none
    assert found.systems[0].run.product_ids("q1") == ("p1", "p2")  # the shorter title first
    assert found.systems[0].latency is not None and found.systems[0].latency.p50 > 0
    assert titles == {"p1": "red shoe", "p2": "red running shoe", "p3": "blue hat"}
    assert found.warnings == (
        f"relevant products that are not in index '{index}', a miss for every system: 1 of 4, such as 'gone'",
    )


def test_judgments_of_another_catalogue(cluster: Cluster, index: str) -> None:
    judgments = make_judgments({"q": {"SKU-1": 1.0, "p1": 0.0}})
    with pytest.raises(InputError, match="none of the 1 products judged relevant is in index"):
        evaluate_index(cluster, index, {"bm25": TitleMatch(cluster, index)}, [Query("q", "red")], judgments, at=[10])


def test_titles_of_more_products_than_one_request_asks_for(cluster: Cluster, index: str) -> None:
    wanted = [*TITLES, *(f"absent{i}" for i in range(2500))]
    assert find_titles(cluster, index, wanted, field="title") == {
        "p1": "red shoe",
        "p2": "red running shoe",
        "p3": "blue hat",
        "p4": "p4",
    }
