"""One ranking out of two: each branch's scores as shares of its best score, added with weights.

Reciprocal rank fusion throws away by how much a product leads, which is what tells a hit from the tail of a coarse code;
docs/log.md has both on Home Depot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def fuse_scores(branches: Sequence[Mapping[str, float]], weights: Sequence[float]) -> dict[str, float]:
    """Weighted sum of each branch's scores divided by the branch's best; what a branch lacks counts 0.

    The result is in descending order, equal scores by id.

    >>> fuse_scores([{"a": 4.0, "b": 2.0}, {"b": 8.0}], [1.0, 0.5])
    {'a': 1.0, 'b': 1.0}
    """
    total: dict[str, float] = {}
    for branch, weight in zip(branches, weights, strict=True):
        best = max(branch.values(), default=0.0)
        for product, score in branch.items():
            total[product] = total.get(product, 0.0) + (weight * score / best if best > 0 else 0.0)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
