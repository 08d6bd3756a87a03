"""One ranking out of two: how far each branch's scores stand between its best one and what it left out, added with weights.

Reciprocal rank fusion throws away by how much a product leads, which is what tells a hit from the tail of a coarse code. Shares of
the best score keep it, but a branch of which the window holds the first 300 out of thousands gives its last hit a third of
its first one's score and a product just below it nothing; docs/log.md has all three on Home Depot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WINDOW = 300  # hits that each branch gives to the fusion (GRAM section 7)


def fuse_scores(
    branches: Sequence[Mapping[str, float]], weights: Sequence[float], *, window: int = WINDOW
) -> dict[str, float]:
    """Weighted sum of (score - floor) / (best - floor) of each branch; what a branch lacks counts as its lowest hit, or 0.

    The floor is the score of hit `window`, since no product that is not among them has more; 0 where a branch has fewer hits, as
    it then found all that it can. Hits behind the window, if there are any, stand below 0 in their order. The result is in
    descending order, equal scores by id.

    >>> fuse_scores([{"a": 4.0, "b": 2.0}, {"b": 8.0}], [1.0, 0.5])
    {'a': 1.0, 'b': 1.0}
    >>> fuse_scores([{"a": 5.0, "b": 4.0, "c": 3.0}, {"c": 2.0}], [1.0, 1.0], window=3)
    {'a': 1.0, 'c': 1.0, 'b': 0.5}
    """
    total = {product: 0.0 for branch in branches for product in branch}
    for branch, weight in zip(branches, weights, strict=True):
        places = _places(branch, window)
        lacking = min([0.0, *places.values()])
        for product in total:
            total[product] += weight * places.get(product, lacking)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _places(branch: Mapping[str, float], window: int) -> dict[str, float]:
    """1 for the best, 0 for the floor; nothing of a branch without a positive score."""
    scores = sorted(branch.values(), reverse=True)
    if not scores or scores[0] <= 0:
        return {}
    floor = scores[window - 1] if len(scores) >= window else 0.0
    if scores[0] == floor:
        return dict.fromkeys(branch, 1.0)
    return {product: (score - floor) / (scores[0] - floor) for product, score in branch.items()}
