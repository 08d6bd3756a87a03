"""Training of the pair scorer (GRAM section 6): the margin loss over clicked and other products that share a code.

The paper's loss takes one clicked and one other product, L = max(0, S(q, t-) - S(q, t+) + mu). Here all products that share
a code with the query are compared at once, in the loss's smooth form

    L(q) = mean over clicked t+ of  log( 1 + sum over other t- of exp((S(q, t-) - S(q, t+) + mu) / tau) )

which a catalogue affords because S is a sum of products (pair_weights.py): one side of it is kept from the round's start
as a sparse matrix while the other side learns. A step takes queries against all products, and titles against all queries;
the titles' part is the gradient of the same loss with each query's normaliser kept from the round's start. The parameters
of `PairWeights` learn along. What a text's codes are is settled at the round's start, what they weigh is learned.
Knows backbones by `CodeModel`; codes are single values, by their columns (coding.py).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.sparse as sparse
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gram_os.attribute import Side
from gram_os.pair_weights import Emphasis, PairWeights, SideWeights
from gram_os.train.coding import GENERATED, OWN, UNKNOWN, CodedTexts, idf
from gram_os.train.likelihood import CodeModel, Tokens

FloatArray = NDArray[np.float32]
_CHUNK = 256  # queries that are scored against the catalogue at once


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How the pair scorer is trained; batches are texts a step, rates are AdamW's peaks."""

    rounds: int = 2
    steps: int = 150  # a round
    queries: int = 64
    titles: int = 24
    title_weight: float = 0.3
    margin: float = 1.0  # mu
    query_codes: int = 10  # generated ones, as in serving
    most_synthetic: int = 25_000
    synthetic: float = (
        0.0  # share of synthetic queries among a step's; without clicks they are all, or there is no stage
    )
    encoder_rate: float = 5e-5
    decoder_rate: float = 2e-4
    weight_rate: float = 1e-2
    seed: int = 0


@dataclass(frozen=True)
class PairSide:
    """The texts of one side: their token ids, and the codes that they have in this round."""

    ids: Sequence[Sequence[int]]
    codes: CodedTexts


@dataclass(frozen=True)
class PairData:
    """Queries and titles of a round.

    clicked: float32 (queries, titles), how much each clicked product counts, a row adds up to 1; real: queries below this
    place are shoppers', the others synthetic.
    """

    queries: PairSide
    titles: PairSide
    clicked: sparse.csr_matrix
    real: int


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Places of the queries and of the titles of a step."""

    queries: Sequence[int]
    titles: Sequence[int]


class PairParameters(nn.Module):
    """`PairWeights` in training: logarithms of what must be positive, a row a side; kinds are the columns."""

    def __init__(self, *, temperature: float = 1.6):
        super().__init__()
        self.log_scales = nn.Parameter(torch.tensor([[2.2, 0.8, 1.0], [1.6, 0.5, 1.0]]).log())
        self.log_exponents = nn.Parameter(torch.tensor([[0.2, 0.2], [0.1, 0.1]]).log())  # own, generated
        self.log_length = nn.Parameter(torch.tensor(0.15).log())  # of titles; a query's length orders nothing
        self.idf_exponent = nn.Parameter(torch.tensor(1.0))
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())

    def weigh(self, side: Side, kinds: Tensor, log_ratios: Tensor, lengths: Tensor) -> Tensor:
        """Weights of codes: kinds, log_ratios and lengths (own values of the code's text), all of one shape."""
        row = int(side is Side.TITLE)
        exponents = torch.cat([self.log_exponents[row].exp(), self.log_exponents.new_zeros(1)])
        logs = self.log_scales[row][kinds] + exponents[kinds] * log_ratios
        return torch.exp(logs - self.log_length.exp() * lengths.log() if row else logs)

    def values(self) -> PairWeights:
        """The parameters as a bundle keeps them; scales are divided so that an own value counts 1 on both sides."""
        scales = self.log_scales.detach().exp().tolist()
        exponents = self.log_exponents.detach().exp().tolist()
        lengths = (0.0, float(self.log_length.detach().exp()))
        sides = [
            SideWeights(
                own=Emphasis(scale=1.0, exponent=exponent[OWN]),
                generated=Emphasis(scale=scale[GENERATED] / scale[OWN], exponent=exponent[GENERATED]),
                unknown=scale[UNKNOWN] / scale[OWN],
                length_exponent=length,
            )
            for scale, exponent, length in zip(scales, exponents, lengths, strict=True)
        ]
        return PairWeights(
            query=sides[0], title=sides[1], idf_exponent=max(0.0, float(self.idf_exponent.detach()))
        )

    def write(self, path: Path) -> None:
        """Keep the parameters as JSON."""
        state = {name: value.tolist() for name, value in self.state_dict().items()}
        path.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> PairParameters:
        """What `write` wrote."""
        parameters = cls()
        state = json.loads(path.read_text(encoding="utf-8"))
        parameters.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        return parameters


class PairObjective(nn.Module):
    """The loss above over one batch of queries and one of titles."""

    def __init__(
        self,
        model: nn.Module,
        parameters_: PairParameters,
        data: PairData,
        tokens: Sequence[Tokens],
        settings: PairSettings,
    ):
        """tokens: the backbone's tokens of each value of the dictionary, in the dictionary's order."""
        super().__init__()
        self.model = model
        self.weights = parameters_
        self._data, self._tokens, self._settings = data, tokens, settings
        self._columns = 1 + max(
            int(side.codes.columns.max(initial=0)) for side in (data.queries, data.titles)
        )
        self._columns = max(self._columns, len(tokens))
        rarity = idf(data.titles.codes.frequencies(self._columns), len(data.titles.codes))
        self._log_idf = torch.from_numpy(np.log(np.maximum(rarity, 1e-3)))
        with torch.no_grad():
            self._offered = self._frozen(data.titles.codes, Side.TITLE)  # (titles, columns)
            self._asked = self._frozen(data.queries.codes, Side.QUERY)  # (queries, columns)
        self._normalisers = self._normalise()

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        """The losses of a step."""
        query = self._query_loss(batch.queries)
        losses = {"query": query, "loss": query}
        if batch.titles and self._settings.title_weight:
            title = self._title_loss(batch.titles)
            losses |= {"title": title, "loss": query + self._settings.title_weight * title}
        return losses

    def _query_loss(self, places: Sequence[int]) -> Tensor:
        columns, weights = self._weigh(self._data.queries, Side.QUERY, places)
        scores = _Product.apply(weights, self._offered[:, columns])  # (queries, titles)
        clicked = torch.from_numpy(self._data.clicked[places].toarray()).to(scores.device)
        margin = self._settings.margin * (clicked == 0)
        logits = (scores + margin) * torch.exp(-self.weights.log_temperature)
        return -(clicked * torch.log_softmax(logits, 1)).sum(1).mean()

    def _title_loss(self, places: Sequence[int]) -> Tensor:
        columns, weights = self._weigh(self._data.titles, Side.TITLE, places)
        scores = _Product.apply(weights, self._asked[:, columns])  # (titles, queries)
        temperature = torch.exp(self.weights.log_temperature.detach())
        clicked = torch.from_numpy(self._data.clicked[:, places].T.toarray()).to(scores.device)
        logits = (scores + self._settings.margin * (clicked == 0)) / temperature
        # d log Z / d score is the product's share of the query's softmax; a share above 1 is the staleness of Z.
        shares = torch.exp((logits - torch.from_numpy(self._normalisers).to(scores.device)).clamp(max=0))
        loss: Tensor = (shares - clicked * logits).sum(1).mean()
        return loss

    def _weigh(self, side: PairSide, which: Side, places: Sequence[int]) -> tuple[NDArray[np.int64], Tensor]:
        """The batch's codes: their columns, and the weights with gradients, float (texts, columns)."""
        slices = [side.codes.of(place) for place in places]
        columns = np.unique(np.concatenate([side.codes.columns[at] for at in slices]))
        kinds = torch.full((len(places), len(columns)), -1)
        for row, at in enumerate(slices):
            found = np.searchsorted(columns, side.codes.columns[at])
            kinds[row, found] = torch.from_numpy(side.codes.kinds[at].astype(np.int64))
        known = int(np.searchsorted(columns, len(self._tokens)))
        wanted = (kinds == OWN) | (kinds == GENERATED)
        model = cast(CodeModel, self.model)
        log_probs = model.log_probs(
            [side.ids[place] for place in places],
            which,
            [self._tokens[column] for column in columns[:known]],
            wanted[:, :known],
        ).sum(-1)  # (texts, known columns)
        kinds, wanted = kinds.to(log_probs.device), wanted.to(log_probs.device)
        best = log_probs.masked_fill(~wanted[:, :known], -1e9).amax(1, keepdim=True)
        ratios = torch.zeros(kinds.shape, device=log_probs.device)
        ratios[:, :known] = (log_probs - best) * wanted[:, :known]
        lengths = torch.from_numpy(side.codes.lengths()[list(places)])[:, None].to(ratios.device)
        weights = self.weights.weigh(which, kinds.clamp(min=0), ratios, lengths) * (kinds >= 0)
        if which is Side.QUERY:
            rarity = self._log_idf[columns].to(weights.device)
            weights = weights * torch.exp(self.weights.idf_exponent * rarity)
        return columns, weights

    def _frozen(self, codes: CodedTexts, side: Side) -> sparse.csr_matrix:
        """The weights of all texts of a side as they are now: float32 (texts, columns)."""
        kinds = torch.from_numpy(codes.kinds.astype(np.int64))
        lengths = torch.from_numpy(np.repeat(codes.lengths(), np.diff(codes.bounds)))
        weights = self.weights.weigh(side, kinds, torch.from_numpy(codes.log_ratios), lengths)
        if side is Side.QUERY:
            weights = weights * torch.exp(self.weights.idf_exponent * self._log_idf[codes.columns])
        return sparse.csr_matrix(
            (weights.numpy(), codes.columns, codes.bounds), shape=(len(codes), self._columns)
        )

    def _normalise(self) -> FloatArray:
        """Log of each query's sum of exp(score / tau) over the catalogue, margins in: float32 (queries,)."""
        temperature = float(self.weights.log_temperature.detach().exp())
        offered = self._offered.T.tocsr()
        found = np.zeros(self._asked.shape[0], np.float32)
        for start in range(0, len(found), _CHUNK):
            part = slice(start, start + _CHUNK)
            scores = (self._asked[part] @ offered).toarray()
            scores += self._settings.margin * (self._data.clicked[part].toarray() == 0)
            scores /= temperature
            top = scores.max(1, keepdims=True)
            found[part] = (top + np.log(np.exp(scores - top).sum(1, keepdims=True)))[:, 0]
        return found


class _Product(torch.autograd.Function):
    """Dense (n, columns) times the transpose of a constant sparse (m, columns): float (n, m)."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: sparse.csr_matrix) -> Tensor:
        ctx.matrix = matrix
        product = matrix @ dense.detach().float().cpu().numpy().T
        return torch.from_numpy(np.ascontiguousarray(product.T)).to(dense.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0]
        product = ctx.matrix.T @ gradient.float().cpu().numpy().T
        return torch.from_numpy(np.ascontiguousarray(product.T)).to(gradient.device), None


def pair_batches(data: PairData, settings: PairSettings, rng: random.Random) -> Iterator[PairBatch]:
    """One pass over the shoppers' queries (all queries where there are none), in random order.

    Each batch holds its share of synthetic queries, and titles that some query clicked.
    """
    asked = np.flatnonzero(np.diff(data.clicked.indptr))
    real, made = asked[asked < data.real].tolist(), asked[asked >= data.real].tolist()
    share = settings.synthetic if real and made else 0.0
    main = real or made
    rng.shuffle(main)
    clicked = np.unique(data.clicked.indices).tolist()
    size = max(1, round(settings.queries * (1 - share)))
    for start in range(0, len(main) - size + 1 or 1, size):
        extra = rng.sample(made, min(len(made), settings.queries - size)) if share else []
        titles = rng.sample(clicked, min(len(clicked), settings.titles))
        yield PairBatch(main[start : start + size] + extra, titles)
