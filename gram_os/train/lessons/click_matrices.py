"""Feedback as sparse matrices of queries and products. Knows a mined catalogue and pairs, no codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from gram_os.errors import InputError
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.sparse_rows import entries_matrix, share_rows
from gram_os.train.mining.catalogue import MinedCatalogue


@dataclass(frozen=True, slots=True)
class ClickMatrices:
    """The queries with a positive pair, the products (places) in one, and matrices (queries, all products).

    weights: the weights of the positive pairs, 0 elsewhere. good: the same, each row adds up to 1. bad: the weights
    of the pairs that were judged bad, each row adds up to 1, or to 0 where there is none.
    """

    queries: Sequence[str]
    products: Sequence[int]
    weights: sparse.csr_matrix
    good: sparse.csr_matrix
    bad: sparse.csr_matrix


def read_clicks(mined: MinedCatalogue, feedback: Feedback, bad_relevance: float) -> ClickMatrices:
    """Turn feedback into matrices; a pair is bad when it is not positive and its relevance is below `bad_relevance`.

    Raises InputError for a product that is not in the catalogue.
    """
    places = {product.id: at for at, product in enumerate(mined.products)}
    queries = [query for query in feedback.by_query if feedback.positives(query)]
    good: list[tuple[int, int, float]] = []
    bad: list[tuple[int, int, float]] = []
    for row, query in enumerate(queries):
        for pair in feedback.by_query[query]:
            if pair.product not in places:
                raise InputError(
                    f"product '{pair.product}' of query '{query}' is not in the catalogue; "
                    "drop such pairs first (Feedback.restrict)"
                )
            if pair.positive:
                good.append((row, places[pair.product], pair.weight))
            elif pair.relevance < bad_relevance:
                bad.append((row, places[pair.product], pair.weight))
    shape = len(queries), len(mined.products)
    weights = entries_matrix(good, shape)
    return ClickMatrices(
        queries,
        np.unique(weights.indices).tolist(),
        weights,
        share_rows(weights),
        share_rows(entries_matrix(bad, shape)),
    )
