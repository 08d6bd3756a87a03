"""BM25 as a peer of the quality benchmark, on a real node."""

from __future__ import annotations

import pytest

from benchmarks.peers.lexical import rank_lexically
from gram_os.cluster.client import Cluster
from gram_os.errors import IndexMissingError

pytestmark = pytest.mark.integration


def test_bm25_stems_ranks_by_matches_and_leaves_no_index(cluster: Cluster) -> None:
    texts = {"a": "red paint brushes", "b": "blue paint roller", "c": "garden hose"}
    found = rank_lexically(texts, {"q1": "paint brush", "q2": "nothing at all"}, cluster.url)
    assert [id_ for id_, _ in found["q1"]] == ["a", "b"]
    assert found["q1"][0][1] > found["q1"][1][1] > 0
    assert found["q2"] == []
    with pytest.raises(IndexMissingError):
        cluster.get_mapping("gram-os-quality-*")  # the error of a pattern that nothing matches
