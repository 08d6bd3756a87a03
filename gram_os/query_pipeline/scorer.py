"""The pair score of a query and a product, part by part (GRAM section 6; the weights are pair_weights.py's).

The cluster adds the same sum up from the documents' `weights` and ranks by it (dsl.py); this is the sum written out, for
those who want to see the parts. Knows neither texts nor the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gram_os.model.generator import ScoredCode


@dataclass(frozen=True, slots=True)
class WeightedCode:
    """A query's code with its weight against this index: the query's side times idf to the power that the bundle says."""

    code: ScoredCode
    weight: float


@dataclass(frozen=True, slots=True)
class CodeScore:
    """What one shared code adds to a pair's score: the product of both sides' weights, idf in the query's."""

    code: str
    query_weight: float
    title_weight: float

    @property
    def score(self) -> float:
        """The part of the sum."""
        return self.query_weight * self.title_weight


@dataclass(frozen=True, slots=True)
class PairScore:
    """A pair's score and its parts, largest first.

    From a search, total is the cluster's, who keeps weights to 9 significant bits, and parts are there when asked for.
    """

    total: float
    parts: tuple[CodeScore, ...] = ()


def score_pair(query: Sequence[WeightedCode], title: Mapping[str, float]) -> PairScore:
    """The sum over the codes of a query that a product has too; `title`: what the product's codes weigh.

    >>> from gram_os.text.code import Code
    >>> asked = [WeightedCode(ScoredCode(Code((text,)), None, own=True), weight) for text, weight in (("hp", 3), ("red", 2))]
    >>> score_pair(asked, {"red": 0.5, "laptop": 1.0})
    PairScore(total=1.0, parts=(CodeScore(code='red', query_weight=2, title_weight=0.5),))
    """
    shared = [CodeScore(code, w.weight, title[code]) for w in query if (code := str(w.code.code)) in title]
    shared.sort(key=lambda part: -part.score)
    return PairScore(sum(part.score for part in shared), tuple(shared))
