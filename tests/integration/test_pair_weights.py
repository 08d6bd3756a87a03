"""Weights at their bounds on a real index: it takes them and ranks by them, and it refuses what lies beyond."""

from __future__ import annotations

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_codes_query, build_search
from gram_os.cluster.labels import LabelState, attach
from gram_os.model.pair_weights import LEAST, MOST, Emphasis, SideWeights
from gram_os.text.code import Code
from tests.conftest import MakeIndex
from tests.weights import build_weights

pytestmark = pytest.mark.integration

WORDS = [f"word{place}" for place in range(300)]


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex) -> str:
    name = make_index()
    attach(cluster, name, LabelState("v1", "a" * 12, "title"))
    return name


def _write(cluster: Cluster, index: str, id_: str, weights: list[dict[str, float]]) -> str | None:
    document = {"gram_v1": {"codes": list(weights[0]), "weights": weights}}
    (item,) = cluster.bulk([{"op": "index", "index": index, "id": id_, "body": document}])
    cluster.refresh(index)
    return item.error


@pytest.mark.parametrize("scale, bound", [(1e-300, LEAST), (1e300, MOST)])
def test_a_long_title_with_extreme_parameters_is_taken_and_ranked(
    cluster: Cluster, index: str, scale: float, bound: float
) -> None:
    side = SideWeights(own=Emphasis(scale=scale, exponent=3), number=scale, length_exponent=0.5)
    weights = side.weigh([Code((word,)) for word in WORDS], [[0.5]] * 300, [True] * 300)
    assert _write(cluster, index, "1", build_weights(dict(zip(WORDS, weights, strict=True)))) is None
    query = build_codes_query("gram_v1.codes", "gram_v1.weights", dict.fromkeys(WORDS, MOST), [])
    (hit,) = cluster.search(index, build_search(query, 1))["hits"]["hits"]
    assert hit["_score"] == pytest.approx(300 * bound * MOST, rel=1e-2)  # nine significant bits


@pytest.mark.parametrize("weight", [1e-6, 1e300])  # 1e-6 is rounded to 0
def test_a_weight_beyond_the_bounds_would_refuse_the_whole_document(
    cluster: Cluster, index: str, weight: float
) -> None:
    assert _write(cluster, index, "1", build_weights({"toner": 1.0, "xerox": weight})) is not None
