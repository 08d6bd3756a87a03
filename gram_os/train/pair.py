"""Training of the pair scorer (GRAM section 6): how much a code weighs, fitted on clicks that nothing else learned from.

What the texts' codes are, and how likely, comes from the model; the parameters of `PairWeights` say what that is worth. They
are few and the score is a sum of products, so every query's likeliest thousands of products are scored at every trial and no
gradient is needed: Powell's method over the logarithms of the parameters. Two losses, over clicked products t+ of a query:

    log-rank   mean of  ln(1 + number of products that score above t+)
    margin     mean over products t- that were not clicked and share a code of  max(0, S(q, t-) - S(q, t+) + mu)

The paper trains by the margin over drawn pairs; over a whole catalogue its mean is about the many products that are nowhere near the
top, and R@10 pays for it (docs/log.md). Queries that the model itself learned from would not do: their clicked products
carry generated codes surer than any new query's will.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from gram_os.pair_weights import Emphasis, PairWeights, SideWeights
from gram_os.train.shortlist import PairData, Shortlists

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
log = logging.getLogger(__name__)

_REACH = 2.5  # how far a parameter may go from where it starts: e^2.5 is twelvefold
_FEW = 20  # queries, fewer of which say nothing about parameters


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How the pair scorer is trained; see the module's text for the losses."""

    share: float = 0.1  # of the clicked queries: the scorer's own, which the stages before do not see
    loss: Literal["log-rank", "margin"] = "log-rank"
    margin: float = 1.0  # mu
    shortlist: int = 3000  # products of a query that come into question
    trials: int = 240  # of Powell's method


@dataclass(frozen=True, slots=True)
class Fitted:
    """The parameters, and how many trials they took.

    before, after: the loss that they were started with and the one that was reached; None where nothing was tried.
    """

    weights: PairWeights
    before: float | None = None
    after: float | None = None
    trials: int = 0


def fit_pair_weights(data: PairData, settings: PairSettings, start: PairWeights | None = None) -> Fitted:
    """Find the parameters of the smallest loss; those of `start` (`PairWeights`' own) where there are too few queries."""
    start = start or PairWeights()
    if len(data.queries) < _FEW:
        log.warning(
            "%d clicked queries are too few to fit the pair scorer; it stays as it was", len(data.queries)
        )
        return Fitted(start)
    lists = Shortlists.draw(data, start, settings.shortlist)
    first = _pack(start)
    found = minimize(
        lambda x: pair_loss(lists, _unpack(x, start), settings),
        first,
        method="Powell",
        bounds=[(x - _REACH, x + _REACH) for x in first],
        options={"maxfev": settings.trials, "xtol": 0.05, "ftol": 1e-4},
    )
    before = pair_loss(lists, start, settings)
    if found.fun >= before:
        return Fitted(start, before, before, int(found.nfev))
    return Fitted(_rounded(_unpack(found.x, start)), before, float(found.fun), int(found.nfev))


def pair_loss(lists: Shortlists, weights: PairWeights, settings: PairSettings) -> float:
    """Mean loss of the queries, over the products that come into question."""
    losses = [
        _loss(scores, places, shares, lists.products - len(scores), settings) / float(shares.sum())
        for scores, (places, shares) in zip(lists.scores(weights), lists.clicked, strict=True)
    ]
    return sum(losses) / len(losses)


def _loss(
    scores: FloatArray, places: IntArray, shares: FloatArray, others: int, settings: PairSettings
) -> float:
    """Of one query: scores (products,), which of them were clicked, with weights, and how many products are left out."""
    clicked = scores[places][:, None]
    if settings.loss == "log-rank":  # equal scores: half of them stand above
        equal = (scores == clicked).sum(1) - 1 + np.where(clicked[:, 0] == 0, others, 0)
        above = (scores > clicked).sum(1) + 0.5 * equal
        return float(shares @ np.log1p(above))
    missed = scores > 0
    missed[places] = False
    rest = scores[missed]
    if not len(rest):
        return 0.0
    return float(shares @ np.maximum(0, rest - clicked + settings.margin).mean(1))


def _pack(weights: PairWeights) -> NDArray[np.float64]:
    """Logarithms of what is fitted.

    An own word counts 1 on both sides, a query's length orders nothing, and what a number or a phrase counts is asked on one
    side, since only the product of both sides matters.
    """
    query = weights.query
    found = [weights.idf_exponent, weights.title.length_exponent, query.number, query.phrase]
    for side in (weights.query, weights.title):
        found += [side.own.exponent, side.generated.scale, side.generated.exponent, side.unknown]
    return np.log(np.maximum(found, 0.01))


def _unpack(x: Sequence[float] | NDArray[np.float64], start: PairWeights) -> PairWeights:
    rarity, length, number, phrase, *sides = np.exp(np.asarray(x)).tolist()
    query, title = (
        SideWeights(
            own=Emphasis(exponent=own), generated=Emphasis(scale=scale, exponent=exponent), unknown=unknown, **rest
        )
        for (own, scale, exponent, unknown), rest in (
            (sides[:4], {"number": number, "phrase": phrase}), (sides[4:], {"length_exponent": length}),
        )
    )  # fmt: skip
    return PairWeights(query=query, title=title, idf_exponent=rarity, granularity=start.granularity)


def _rounded(weights: PairWeights) -> PairWeights:
    """Four digits say all that a fit knows."""

    def short(value: object) -> object:
        if isinstance(value, dict):
            return {name: short(part) for name, part in value.items()}
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return PairWeights.model_validate(short(weights.model_dump()))
