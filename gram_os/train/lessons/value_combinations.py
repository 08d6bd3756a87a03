"""How many of a query's products have all values of a combination, for many queries at once. Knows numbers only."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import DoubleArray, IntArray


def list_combinations(wide: int) -> IntArray:
    """List all ascending choices of two and three out of `wide` places: (combinations, 3), -1 as the third of two."""
    pairs = [(*pair, -1) for pair in combinations(range(wide), 2)]
    return np.array([*pairs, *combinations(range(wide), 3)], dtype=np.int64).reshape(-1, 3)


def count_together(
    weights: sparse.csr_matrix, product_values: sparse.csr_matrix, slots: IntArray, triples: IntArray
) -> DoubleArray:
    """Add up the weights of each query's products that have all values of a combination: (queries, combinations).

    weights: (queries, products). product_values: (products, values), 1 where a product has a value. slots: (queries,
    wide) values of each query, -1 behind the last. triples: (combinations, 3) places in a row of slots, the third -1
    for a pair.
    """
    count, wide = slots.shape
    slot = np.full((count, product_values.shape[1]), -1, np.int16)
    rows, at = np.nonzero(slots >= 0)
    slot[rows, slots[rows, at]] = at
    query = np.repeat(np.arange(count), np.diff(weights.indptr))  # (entries,) the query of each product
    products = product_values[weights.indices]  # (entries, values)
    entry = np.repeat(np.arange(len(query)), np.diff(products.indptr))
    found = slot[query[entry], products.indices]
    has = np.zeros((len(query), wide + 1), bool)
    has[:, wide] = True  # -1, the missing third value, refers to this column
    has[entry[found >= 0], found[found >= 0]] = True
    together = has[:, triples[:, 0]] & has[:, triples[:, 1]] & has[:, triples[:, 2]]
    by_query = sparse.csr_matrix((weights.data, np.arange(len(query)), weights.indptr), shape=(count, len(query)))
    return np.asarray(by_query @ together.astype(np.float64))
