"""Combinations of values by hand: two queries, four products, five values."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from gram_os.train.lessons.value_combinations import count_together, list_combinations


def test_combinations_are_pairs_and_then_triples() -> None:
    assert list_combinations(3).tolist() == [[0, 1, -1], [0, 2, -1], [1, 2, -1], [0, 1, 2]]
    assert len(list_combinations(16)) == 120 + 560
    assert list_combinations(1).shape == (0, 3)


def test_weights_of_products_with_all_values_are_added_up() -> None:
    product_values = sparse.csr_matrix(
        np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 1], [1, 0, 0, 0, 1]], float)
    )
    weights = sparse.csr_matrix(np.array([[0.5, 0.3, 0.2, 0], [0, 0, 0.6, 0.4]]))
    slots = np.array([[0, 1, 2], [1, 4, -1]])  # the second query has two values only
    found = count_together(weights, product_values, slots, list_combinations(3))
    # Query 0: values 0 and 1 in products 0 and 1; 0 and 2 in product 1; 1 and 2 in products 1 and 2; all in product 1.
    np.testing.assert_allclose(found[0], [0.5 + 0.3, 0.3, 0.3 + 0.2, 0.3])
    # Query 1: values 1 and 4 in product 2; nothing has a third value.
    np.testing.assert_allclose(found[1], [0.6, 0, 0, 0])
