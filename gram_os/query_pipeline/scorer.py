"""The pair score of a query and a product, part by part (GRAM section 6; pair_weights.py has the weights).

The cluster computes the same sum from the documents' `weights` and ranks by it (cluster/dsl.py). This module writes the
sum out for those who want to see its parts. It knows neither texts nor the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gram_os.model.coded import ScoredCode


@dataclass(frozen=True, slots=True)
class WeightedCode:
    """A query's code and its weight against one index: the query's weight times idf ** (the bundle's exponent)."""

    code: ScoredCode
    weight: float


@dataclass(frozen=True, slots=True)
class CodeScore:
    """What one shared code adds to a pair score: the product of both weights. The query's weight includes idf."""

    code: str
    query_weight: float
    title_weight: float

    @property
    def score(self) -> float:
        """The part of the sum."""
        return self.query_weight * self.title_weight


@dataclass(frozen=True, slots=True)
class PairScore:
    """A pair score and its parts, largest first.

    In a search, `total` is the cluster's sum, which keeps weights to 9 significant bits. `parts` are filled only when
    the search explains.
    """

    total: float
    parts: tuple[CodeScore, ...] = ()


def score_pair(query: Sequence[WeightedCode], title: Mapping[str, float]) -> PairScore:
    """Add up the codes that a query and a product share. `title` maps each of the product's codes to its weight.

    >>> from gram_os.text.code import Code
    >>> query = [
    ...     WeightedCode(ScoredCode(Code(("hp",)), None, own=True), 3),
    ...     WeightedCode(ScoredCode(Code(("red",)), None, own=True), 2),
    ... ]
    >>> score_pair(query, {"red": 0.5, "laptop": 1.0})
    PairScore(total=1.0, parts=(CodeScore(code='red', query_weight=2, title_weight=0.5),))
    """
    shared = [CodeScore(code, w.weight, title[code]) for w in query if (code := str(w.code.code)) in title]
    shared.sort(key=lambda part: -part.score)
    return PairScore(sum(part.score for part in shared), tuple(shared))
