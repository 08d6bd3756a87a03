"""Exact search over vectors in memory, so that no approximate index costs a dense peer quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.peers.interface import DEPTH, Rankings
from gram_os.arrays import FloatArray, IntArray

QUERIES_AT_ONCE = 256


def rank_by_vectors(
    product_ids: Sequence[str], titles: FloatArray, query_ids: Sequence[str], queries: FloatArray
) -> Rankings:
    """Rank all products by the inner product of unit vectors: float32 (products, width) and (queries, width)."""
    found: Rankings = {}
    for start in range(0, len(query_ids), QUERIES_AT_ONCE):
        scores = queries[start : start + QUERIES_AT_ONCE] @ titles.T  # (queries, products)
        for query_id, row in zip(query_ids[start:], scores, strict=False):
            found[query_id] = [(product_ids[at], float(row[at])) for at in top_places(row, DEPTH)]
    return found


def top_places(scores: FloatArray, most: int) -> IntArray:
    """Return the places of the `most` highest scores, best first. Equal scores are in the order of places."""
    if most < len(scores):
        floor = np.partition(scores, -most)[-most]
        places = np.flatnonzero(scores >= floor)
    else:
        places = np.arange(len(scores))
    return np.asarray(places[np.argsort(-scores[places], kind="stable")][:most], dtype=np.int64)
