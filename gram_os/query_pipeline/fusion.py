"""One ranking out of two: each branch's scores, scaled between best hit and floor, are added with weights.

Why not reciprocal rank fusion: it drops by how much a product leads, and that is what tells a clear hit from the tail
of a coarse code. Why not shares of the best score: the window cuts a branch that found thousands at hit 300. The last
hit inside may then keep a third of the best score, while the product just behind it gets nothing. docs/log.md compares
all three on Home Depot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

#: What names a product: its id, or its id with what tells it from others of the same id.
Key = TypeVar("Key", str, tuple[str, str, str])

WINDOW = 300  # hits of each branch that the fusion reads (GRAM section 7)


def fuse_scores(
    branches: Sequence[Mapping[Key, float]], weights: Sequence[float], *, window: int = WINDOW
) -> dict[Key, float]:
    """Add up (score - floor) / (best - floor) over the branches, each times its weight.

    The floor is the score of hit `window`: no product outside the window scores higher. A branch with fewer hits found
    all that it can, and its floor is 0. Hits behind the window keep their order, below 0. A product that a branch did
    not find counts 0 there, or the branch's lowest scaled score when that is below 0. The result is in descending
    order, equal scores by id.

    >>> fuse_scores([{"a": 4.0, "b": 2.0}, {"b": 8.0}], [1.0, 0.5])
    {'a': 1.0, 'b': 1.0}
    >>> fuse_scores([{"a": 5.0, "b": 4.0, "c": 3.0}, {"c": 2.0}], [1.0, 1.0], window=3)
    {'a': 1.0, 'c': 1.0, 'b': 0.5}
    """
    total = {product: 0.0 for branch in branches for product in branch}
    for branch, weight in zip(branches, weights, strict=True):
        scaled: dict[Key, float] = _scale(branch, window)
        lacking = min([0.0, *scaled.values()])
        for product in total:
            total[product] += weight * scaled.get(product, lacking)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _scale(branch: Mapping[Key, float], window: int) -> dict[Key, float]:
    """Scale a branch's scores: 1 for the best, 0 for the floor. A branch without a positive score gives nothing."""
    scores = sorted(branch.values(), reverse=True)
    if not scores or scores[0] <= 0:
        return {}
    floor = scores[window - 1] if len(scores) >= window else 0.0
    if scores[0] == floor:
        return dict.fromkeys(branch, 1.0)
    return {product: (score - floor) / (scores[0] - floor) for product, score in branch.items()}
