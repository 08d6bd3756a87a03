"""Recall, nDCG and reciprocal rank of one ranked list at a cut-off k.

Pure arithmetic on product ids: knows neither files nor systems. A product that nobody judged counts as not relevant
(gain 0). A ranked list holds each product once; `Ranking` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from gram_os.arrays import DoubleArray


def recall_at(ranked: Sequence[str], relevant: AbstractSet[str], k: int) -> float:
    """Share of the relevant products that stand among the first k: |top k & relevant| / |relevant|.

    The denominator is all relevant products, also where there are more than k of them, so R@10 of a query with 40
    relevant products is .25 at best.

    >>> recall_at(["a", "b", "c"], {"a", "c", "x"}, 2) == 1 / 3
    True
    """
    _check_cut(k)
    if not relevant:
        raise ValueError("recall is not defined for a query without a relevant product")
    return sum(product_id in relevant for product_id in ranked[:k]) / len(relevant)


def ndcg_at(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Discounted gain of the first k over the best that the judged products allow.

    DCG@k = sum over ranks r = 1..k of gain(r) / log2(r + 1). The ideal takes *all* judged products of the query, found
    or not, in descending gain. `gains` are gains already (see `gain`), not grades.

    >>> ndcg_at(["a", "b"], {"a": 3.0, "b": 7.0}, 1) == 3 / 7
    True
    """
    _check_cut(k)
    best = _dcg(np.sort(np.fromiter(gains.values(), dtype=np.float64))[::-1][:k])
    if best <= 0:
        raise ValueError("nDCG is not defined for a query whose judged products all have gain 0")
    found = np.fromiter((gains.get(product_id, 0.0) for product_id in ranked[:k]), dtype=np.float64)
    return _dcg(found) / best


def reciprocal_rank_at(ranked: Sequence[str], relevant: AbstractSet[str], k: int) -> float:
    """1 / rank of the first relevant product, 0 where the first k hold none; its mean over queries is MRR@k.

    >>> reciprocal_rank_at(["a", "b", "c"], {"c"}, 10) == 1 / 3
    True
    """
    _check_cut(k)
    ranks = (rank for rank, product_id in enumerate(ranked[:k], start=1) if product_id in relevant)
    return 1.0 / next(ranks, np.inf)


def gain(relevance: float, lowest_grade: float) -> float:
    """2^g - 1, with g = relevance - lowest grade of the scale; a grade need not be an integer.

    >>> gain(3, lowest_grade=1)
    3.0
    """
    return float(2.0 ** (relevance - lowest_grade) - 1.0)


def _dcg(gains: DoubleArray) -> float:
    """Discounted sum of gains in ranked order, float64 (ranks,)."""
    return float(gains @ (1.0 / np.log2(np.arange(2, len(gains) + 2))))


def _check_cut(k: int) -> None:
    if k < 1:
        raise ValueError(f"a cut-off is at least 1, not {k}")
