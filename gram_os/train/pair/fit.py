"""Training of the pair scorer (GRAM section 6): how much a code weighs, fitted on clicks that nothing else learned from.

What the texts' codes are, and how likely, comes from the model; the parameters of `PairWeights` say what that is worth. They
are few and the score is a sum of products, so every query's likeliest products are all scored at every step. Two losses, over
clicked products t+ of a query:

    log-rank   mean of  ln(1 + number of products that score above t+)
    margin     mean over products t- that were not clicked and share a code of  max(0, S(q, t-) - S(q, t+) + mu)

A rank has no gradient, so the fit counts a product as sigmoid((S(q, t) - S(q, t+)) / (smoothness m)) of one above, m the mean score of
the query's products, smoothly first and then nearly as it is: a search without gradients stopped far from there (docs/log.md).
The paper trains by the margin over drawn pairs; over a whole catalogue its mean is about the many products that are nowhere near the
top, and R@10 pays for it (docs/log.md). Queries that the model itself learned from would not do: their clicked products
carry generated codes surer than any new query's will.
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
from gram_os.model.pair_weights import Emphasis, PairWeights, SideWeights
from gram_os.train.pair.coding import GENERATED, OWN, UNKNOWN, CodedTexts, Columns
from gram_os.train.pair.shortlists import PairData, Shortlists

Clicked = tuple[Tensor, Tensor]  # of a query: places of the products that it clicked, and their weights
log = logging.getLogger(__name__)

_REACH = 2.5  # how far a parameter may go from where it starts: e^2.5 is twelvefold
_FEW = 20  # queries, fewer of which say nothing about parameters
# Of the parameters in `pack`'s order, which ones are exponents; the others are scales.
_EXPONENTS = torch.tensor([True, True, False, False, *[True, False, True, False] * 2])
_QUERY, _TITLE = 4, 8  # where the four of each side begin


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How the pair scorer is trained; see the module's text for the losses."""

    share: float = 0.1  # of the clicked queries: the scorer's own, which the stages before do not see
    most_queries: int = 3000  # of these; twelve parameters need no more
    loss: Literal["log-rank", "margin"] = "log-rank"
    smoothness: tuple[float, ...] = (0.3, 0.05, 0.01)  # of a rank, fit after fit, in mean scores of a query
    margin: float = 1.0  # mu
    shortlist: int = 1000  # products of a query that come into question
    steps: int = 100  # of L-BFGS at most, in each fit


@dataclass(frozen=True, slots=True)
class Fitted:
    """The parameters, and how many steps they took.

    before, after: the loss (`pair_loss`) that they were started with and the one that was reached; None where nothing was tried.
    """

    weights: PairWeights
    before: float | None = None
    after: float | None = None
    steps: int = 0


def fit_pair_weights(data: PairData, settings: PairSettings, start: PairWeights | None = None) -> Fitted:
    """Find the parameters of the smallest loss; those of `start` (`PairWeights`' own) where there are too few queries."""
    start = start or PairWeights()
    if len(data.queries) < _FEW:
        log.warning("%d clicked queries are too few to fit the pair scorer; it stays as it was", len(data.queries))
        return Fitted(start)
    lists = Shortlists.draw(data, start, settings.shortlist)
    x = pack(start)
    bounds = [(value - _REACH, value + _REACH) for value in x]
    steps = 0
    for smoothness in settings.smoothness if settings.loss == "log-rank" else (0.0,):
        objective = PairObjective(lists, settings, smoothness)
        options = {"maxiter": settings.steps, "ftol": 1e-6}
        found = minimize(objective, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        x, steps = found.x, steps + int(found.nit)
    fitted = _rounded(unpack(x, start))
    before, after = (pair_loss(lists, weights, settings) for weights in (start, fitted))
    return Fitted(fitted, before, after, steps) if after < before else Fitted(start, before, before, steps)


class PairObjective:
    """The loss over the products that come into question and its gradient, at the logarithms of the parameters.

    smoothness: of a rank; the margin loss needs none.

    A code's weight is log-linear: the exponential of a row of traits times the parameters (exponents as they are, scales as
    logarithms). That gives the gradient to torch; `Shortlists.scores` says what the scores have to be.
    """

    def __init__(self, lists: Shortlists, settings: PairSettings, smoothness: float):
        self._settings, self._smoothness, self._products = settings, smoothness, lists.products
        rarity = lists.rarity[lists.queries.columns]
        self._held = torch.from_numpy(rarity > 0)
        self._asked = torch.from_numpy(_traits(lists.queries, lists.columns, _QUERY))
        self._asked[:, 0] = torch.from_numpy(np.log(np.where(rarity > 0, rarity, 1)))
        self._offered = torch.from_numpy(_traits(lists.titles, lists.columns, _TITLE))
        self._offered[:, 1] = torch.from_numpy(-np.log(lists.lengths))
        self._offered[:, 2:4] = 0  # numbers and phrases are asked on the query's side
        self._places = [torch.from_numpy(part.astype(np.int64)) for part in (lists.pairs, lists.asked, lists.offered)]
        self._sizes = np.diff(lists.bounds).tolist()
        self._clicked = _clicked(lists)

    def __call__(self, logarithms: DoubleArray) -> tuple[float, DoubleArray]:
        """Loss and gradient, float64 (parameters,)."""
        x = torch.tensor(logarithms, dtype=torch.float32, requires_grad=True)
        loss = _mean_loss(self.scores(x), self._clicked, self._products, self._settings, self._smoothness)
        (gradient,) = torch.autograd.grad(loss, x)
        return loss.item(), gradient.double().numpy()

    def scores(self, x: Tensor) -> Sequence[Tensor]:
        """The pair scores of each query's products at these logarithms."""
        parameters = torch.where(_EXPONENTS, x.exp(), x)
        pairs, asked, offered = self._places
        own = torch.where(self._held, (self._asked @ parameters).exp(), 0)
        parts = own[asked] * (self._offered @ parameters).exp()[offered]
        total = torch.zeros(sum(self._sizes)).index_add(0, pairs, parts)
        return torch.split(total, self._sizes)


def _traits(codes: CodedTexts, columns: Columns, side: int) -> FloatArray:
    """What the parameters are multiplied with: float32 (codes, parameters), the side's own ones from column `side` on."""
    found = np.zeros((len(codes.columns), len(_EXPONENTS)), np.float32)
    said, made, unknown = (codes.kinds == kind for kind in (OWN, GENERATED, UNKNOWN))
    found[:, 2] = columns.numbers[codes.columns] & ~made
    found[:, 3] = columns.phrases[codes.columns] & ~made
    found[:, side] = np.where(said, codes.log_ratios, 0)
    found[:, side + 1] = made
    found[:, side + 2] = np.where(made, codes.log_ratios, 0)
    found[:, side + 3] = unknown
    return found


def pair_loss(lists: Shortlists, weights: PairWeights, settings: PairSettings) -> float:
    """Mean loss of the queries, over the products that come into question."""
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
    """Over the queries: scores of each one's products, those that it clicked, and how many products there are."""
    losses = [
        _losses(found, places, products - len(found), settings, smoothness) @ shares / shares.sum()
        for found, (places, shares) in zip(scores, clicked, strict=True)
    ]
    return torch.stack(losses).mean()


def _losses(scores: Tensor, places: Tensor, others: int, settings: PairSettings, smoothness: float) -> Tensor:
    """Of one query: scores (products,), which of them were clicked, and how many products are left out; the loss of each clicked one."""
    clicked = scores[places][:, None]
    if settings.loss == "log-rank":
        width = smoothness * (scores.mean() + 1e-9)
        above = _share_above(scores - clicked, width).sum(1) - 0.5  # a clicked product is level with itself
        left_out = others * _share_above(-clicked[:, 0], width)
        return torch.log1p((above + left_out).clamp(min=0))
    missed = scores > 0
    missed[places] = False
    if not missed.any():
        return torch.zeros(len(places))
    return (scores[missed] - clicked + settings.margin).clamp(min=0).mean(1)


def _share_above(leads: Tensor, width: Tensor) -> Tensor:
    """How much of a product with such a lead stands above, 0 to 1; a width of 0: all or nothing, half where it is level."""
    if not width:
        return torch.heaviside(leads, torch.tensor(0.5))
    return torch.sigmoid(leads / width)


def pack(weights: PairWeights) -> DoubleArray:
    """Logarithms of what is fitted.

    An own word counts 1 on both sides, a query's length orders nothing, and what a number or a phrase counts is asked on one
    side, since only the product of both sides matters.
    """
    query = weights.query
    found = [weights.idf_exponent, weights.title.length_exponent, query.number, query.phrase]
    for side in (weights.query, weights.title):
        found += [side.own.exponent, side.generated.scale, side.generated.exponent, side.unknown]
    return np.log(np.maximum(found, 0.01))


def unpack(x: DoubleArray, start: PairWeights) -> PairWeights:
    """The parameters of these logarithms; what is not fitted is that of `start`."""
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
