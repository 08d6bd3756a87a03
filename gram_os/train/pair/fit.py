"""Training of the pair scorer (GRAM section 6): how much a code weighs, fitted on clicks that no other stage uses.

The model says which codes a text has and how likely they are. The parameters of `PairWeights` say what that is worth.
There are few parameters and the score is a sum of products, so every step scores all products of all shortlists.
There are two losses, over the clicked products t+ of a query:

    log-rank   mean of  ln(1 + number of products that score above t+)
    margin     mean over products t- that were not clicked and share a code of  max(0, S(q, t-) - S(q, t+) + mu)

A rank has no gradient. So the fit counts a product t as sigmoid((S(q, t) - S(q, t+)) / (smoothness m)) of a product
above t+, where m is the mean score of the query's products. The first fit is smooth, the last one nearly counts
ranks. A search without gradients stopped far from the best parameters (docs/log.md). The paper trains by the margin
over drawn pairs. Over a whole catalogue the mean of the margin loss depends mostly on the many products far from the
top, and R@10 suffers (docs/log.md). Queries that the model was trained on cannot be used here: their clicked products
have generated codes that are surer than those of any new query.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from gram_os.arrays import DoubleArray, FloatArray
from gram_os.model.pair_weights import GENERATED, LEAST, MOST, OWN, UNKNOWN, Emphasis, PairWeights
from gram_os.train.pair.coding import CodedTexts, Columns
from gram_os.train.pair.shortlists import PairData, Shortlists

Clicked = tuple[Tensor, Tensor]  # the places of a query's clicked products in its shortlist, and their weights
log = logging.getLogger(__name__)

_REACH = 2.5  # how far the logarithm of a parameter may go from its start; e^2.5 is twelvefold
_LEAST_QUERIES = 20  # fewer queries say nothing about parameters
# Which parameters, in the order of `pack`, are exponents; the others are scales.
_EXPONENTS = torch.tensor([True, True, False, False, *[True, False, True, False] * 2])
# What a product type of a query and the words that name it count beside fitted weights. The fit sees no product types,
# so these two were chosen on Home Depot's queries to fit (docs/log.md): such queries say more in words.
_TYPE, _MODIFIER = 0.18, 0.7
_BOUNDS = np.log([LEAST, MOST]).tolist()  # of the logarithm of a weight
_QUERY, _TITLE = 4, 8  # the places of the first of the four parameters of each side


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How the pair scorer is trained; the module's text explains the losses."""

    share: float = 0.1  # of the clicked queries; only the scorer uses them, and the earlier stages do not see them
    most_queries: int = 3000  # of these; twelve parameters need no more
    loss: Literal["log-rank", "margin"] = "log-rank"
    smoothness: tuple[float, ...] = (0.3, 0.05, 0.01)  # of a rank in each fit, in mean scores of a query
    margin: float = 1.0  # mu
    shortlist: int = 1000  # products a query
    steps: int = 100  # at most, of L-BFGS in each fit


@dataclass(frozen=True, slots=True)
class PairFit:
    """The fitted parameters, and the number of steps.

    before, after: the loss (`pair_loss`) at the start and at the end; None where there were too few queries for a fit.
    """

    weights: PairWeights
    before: float | None = None
    after: float | None = None
    steps: int = 0


def fit_pair_weights(data: PairData, settings: PairSettings, start: PairWeights | None = None) -> PairFit:
    """Find the parameters with the smallest loss.

    start: where the fit starts; the defaults of `PairWeights` if not given. It is also the result where there are too
    few queries, and where the fit finds nothing better.
    """
    start = start or PairWeights()
    if len(data.queries) < _LEAST_QUERIES:
        log.warning("%d clicked queries are too few to fit the pair scorer; it stays as it was", len(data.queries))
        return PairFit(start)
    lists = Shortlists.draw(data, start, settings.shortlist)
    x = pack(start)
    bounds = [(value - _REACH, value + _REACH) for value in x]
    steps = 0
    for smoothness in settings.smoothness if settings.loss == "log-rank" else (0.0,):
        objective = PairObjective(lists, settings, smoothness)
        options = {"maxiter": settings.steps, "ftol": 1e-6}
        found = minimize(objective, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        x, steps = found.x, steps + int(found.nit)
    fitted = _round(_weigh_types(unpack(x, start)))
    before, after = (pair_loss(lists, weights, settings) for weights in (start, fitted))
    return PairFit(fitted, before, after, steps) if after < before else PairFit(start, before, before, steps)


class PairObjective:
    """The loss over the shortlisted products, and its gradient, at the logarithms of the parameters.

    smoothness: of a rank; the margin loss does not use it.

    A code's weight is log-linear: the exponential of a row of traits times the parameters (exponents as they are,
    scales as logarithms). So torch can compute the gradient. The scores equal those of `Shortlists.scores`.
    """

    def __init__(self, lists: Shortlists, settings: PairSettings, smoothness: float):
        self._settings, self._smoothness, self._products = settings, smoothness, lists.products
        rarity = lists.rarity[lists.queries.columns]
        self._in_catalogue = torch.from_numpy(rarity > 0)
        self._query_traits = torch.from_numpy(_traits(lists.queries, lists.columns, _QUERY))
        self._log_rarity = torch.from_numpy(np.log(np.where(rarity > 0, rarity, 1)))
        self._title_traits = torch.from_numpy(_traits(lists.titles, lists.columns, _TITLE))
        self._title_traits[:, 1] = torch.from_numpy(-np.log(lists.lengths))
        self._title_traits[:, 2:4] = 0  # numbers and phrases count on the query side only
        places = lists.pairs, lists.query_codes, lists.title_codes
        self._places = [torch.from_numpy(part.astype(np.int64)) for part in places]
        self._sizes = np.diff(lists.bounds).tolist()
        self._clicked = _clicked(lists)

    def __call__(self, logarithms: DoubleArray) -> tuple[float, DoubleArray]:
        """Return the loss and its gradient, float64 (parameters,)."""
        x = torch.tensor(logarithms, dtype=torch.float32, requires_grad=True)
        loss = _mean_loss(self.scores(x), self._clicked, self._products, self._settings, self._smoothness)
        (gradient,) = torch.autograd.grad(loss, x)
        return loss.item(), gradient.double().numpy()

    def scores(self, x: Tensor) -> Sequence[Tensor]:
        """Return the pair scores of each query's products at these logarithms."""
        parameters = torch.where(_EXPONENTS, x.exp(), x)
        pairs, query_codes, title_codes = self._places
        own, title_weights = (
            (traits @ parameters).clamp(*_BOUNDS).exp() for traits in (self._query_traits, self._title_traits)
        )
        query_weights = torch.where(self._in_catalogue, own * (parameters[0] * self._log_rarity).exp(), 0)
        parts = query_weights[query_codes] * title_weights[title_codes]
        total = torch.zeros(sum(self._sizes)).index_add(0, pairs, parts)
        return torch.split(total, self._sizes)


def _traits(codes: CodedTexts, columns: Columns, side: int) -> FloatArray:
    """Make the factors of the parameters: float32 (codes, parameters); those of the side itself start at `side`."""
    found = np.zeros((len(codes.columns), len(_EXPONENTS)), np.float32)
    own, generated, unknown = (codes.kinds == kind for kind in (OWN, GENERATED, UNKNOWN))
    found[:, 2] = columns.numbers[codes.columns] & ~generated
    found[:, 3] = columns.phrases[codes.columns] & ~generated
    found[:, side] = np.where(own, codes.log_ratios, 0)
    found[:, side + 1] = generated
    found[:, side + 2] = np.where(generated, codes.log_ratios, 0)
    found[:, side + 3] = unknown
    return found


def pair_loss(lists: Shortlists, weights: PairWeights, settings: PairSettings) -> float:
    """Return the mean loss of the queries over their shortlists, with exact ranks."""
    scores = map(torch.from_numpy, lists.scores(weights))
    return float(_mean_loss(scores, _clicked(lists), lists.products, settings, 0.0))


def _clicked(lists: Shortlists) -> list[Clicked]:
    return [(torch.from_numpy(places), torch.from_numpy(shares)) for places, shares in lists.clicked]


def _mean_loss(
    scores: Iterable[Tensor],
    clicked: Sequence[Clicked],
    products: int,
    settings: PairSettings,
    smoothness: float,
) -> Tensor:
    """Return the mean over the queries of each one's loss.

    scores, clicked: of each query's shortlist. products: how many the catalogue has.
    """
    losses = [
        _losses(found, places, products - len(found), settings, smoothness) @ shares / shares.sum()
        for found, (places, shares) in zip(scores, clicked, strict=True)
    ]
    return torch.stack(losses).mean()


def _losses(scores: Tensor, places: Tensor, others: int, settings: PairSettings, smoothness: float) -> Tensor:
    """Return the loss of each clicked product of one query, float (clicked,).

    scores: float (products,), of its shortlist. places: the clicked ones among them. others: how many products of the
    catalogue are not in the shortlist; their score counts as 0.
    """
    clicked = scores[places][:, None]
    if settings.loss == "log-rank":
        width = smoothness * (scores.mean() + 1e-9)
        above = _share_above(scores - clicked, width).sum(1) - 0.5  # a clicked product counts half above itself
        left_out = others * _share_above(-clicked[:, 0], width)
        return torch.log1p((above + left_out).clamp(min=0))
    missed = scores > 0
    missed[places] = False
    if not missed.any():
        return torch.zeros(len(places))
    return (scores[missed] - clicked + settings.margin).clamp(min=0).mean(1)


def _share_above(leads: Tensor, width: Tensor) -> Tensor:
    """Count each product by its lead as 0 to 1 product above; a width of 0 counts 0 or 1, and a lead of 0 as half."""
    if not width:
        return torch.heaviside(leads, torch.tensor(0.5))
    return torch.sigmoid(leads / width)


def pack(weights: PairWeights) -> DoubleArray:
    """Return the logarithms of the fitted parameters.

    Not fitted: an own word counts 1 on both sides, and a query's length changes no order. What a number or a phrase
    counts is fitted on one side, because only the product of both sides matters.
    """
    query = weights.query
    found = [weights.idf_exponent, weights.title.length_exponent, query.number, query.phrase]
    for side in (weights.query, weights.title):
        found += [side.own.exponent, side.generated.scale, side.generated.exponent, side.unknown]
    return np.log(np.maximum(found, 0.01))


def unpack(x: DoubleArray, start: PairWeights) -> PairWeights:
    """Return the parameters of these logarithms. What is not fitted stays as it is in `start`."""
    rarity, length, number, phrase, *sides = np.exp(np.asarray(x)).tolist()
    query, title = (
        side.model_copy(
            update={
                "own": Emphasis(exponent=own),
                "generated": Emphasis(scale=scale, exponent=exponent),
                "unknown": unknown,
                **rest,
            }
        )
        for side, (own, scale, exponent, unknown), rest in (
            (start.query, sides[:4], {"number": number, "phrase": phrase}),
            (start.title, sides[4:], {"length_exponent": length}),
        )
    )
    return start.model_copy(update={"query": query, "title": title, "idf_exponent": rarity})


def _weigh_types(weights: PairWeights) -> PairWeights:
    """Return weights with what product types count beside fitted ones."""
    kind = weights.query.type.model_copy(update={"scale": _TYPE})
    return weights.model_copy(update={"query": weights.query.model_copy(update={"type": kind, "modifier": _MODIFIER})})


def _round(weights: PairWeights) -> PairWeights:
    """Round to four digits; a fit knows no more."""

    def short(value: object) -> object:
        if isinstance(value, dict):
            return {name: short(part) for name, part in value.items()}
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return PairWeights.model_validate(short(weights.model_dump()))
