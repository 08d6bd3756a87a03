"""What the pair scorer is trained and measured on: own values of all texts as columns, clicked pairs as a matrix.

Knows catalogue, feedback and synthetic queries; a model is a function that codes texts (`CodeTexts`).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from gram_os.attribute import Side
from gram_os.clicks import Feedback
from gram_os.own_values import product_values, query_values
from gram_os.pair_weights import PairWeights
from gram_os.train.coding import CodedTexts, rank_products
from gram_os.train.mining import Mined
from gram_os.train.pair import PairData, PairSide
from gram_os.train.synthesis import SyntheticQuery

IntArray = NDArray[np.int64]
_SYNTHETIC_SEED = 7


class CodeTexts(Protocol):
    """A backbone that codes texts."""

    def ids(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """Token ids."""

    def code(
        self, ids: Sequence[Sequence[int]], side: Side, own: Sequence[IntArray], width: int
    ) -> CodedTexts:
        """Own values and the `width` likeliest ones."""


@dataclass(frozen=True)
class Catalogue:
    """The products as columns, the dictionary's tokens first.

    own: ascending columns of each product's own values; columns: the number of each value, of those that some product
    has; places: product id -> its place.
    """

    mined: Mined
    own: Sequence[IntArray]
    columns: Mapping[str, int]
    places: Mapping[str, int]

    @classmethod
    def read(cls, mined: Mined) -> Catalogue:
        """Number the values of a catalogue that was mined."""
        columns = dict(mined.dictionary.tokens)
        own = []
        for product in mined.products:
            values = product_values(
                product, mined.attributes, mined.normaliser, mined.dictionary, mined.texts
            )
            own.append(np.unique([columns.setdefault(value, len(columns)) for value in values]))
        return cls(mined, own, columns, {product.id: at for at, product in enumerate(mined.products)})

    def query_columns(self, text: str) -> IntArray:
        """Own values of a query, of those that some product has."""
        mined = self.mined
        values = query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary)
        return np.unique([self.columns[value] for value in values if value in self.columns]).astype(np.int64)

    def code_titles(self, model: CodeTexts, width: int) -> PairSide:
        """The catalogue's codes under a model."""
        ids = model.ids([product.title for product in self.mined.products], Side.TITLE)
        return PairSide(ids, model.code(ids, Side.TITLE, self.own, width))

    def code_queries(self, model: CodeTexts, texts: Sequence[str], width: int) -> PairSide:
        """Queries' codes under a model."""
        ids = model.ids(texts, Side.QUERY)
        own = [self.query_columns(text) for text in texts]
        return PairSide(ids, model.code(ids, Side.QUERY, own, width))


@dataclass(frozen=True)
class ClickedQueries:
    """Query texts, shoppers' first, and the places of the products that each clicked, with weights."""

    texts: Sequence[str]
    products: Sequence[Mapping[int, float]]
    real: int

    @classmethod
    def gather(
        cls,
        feedback: Feedback | None,
        synthetic: Iterable[SyntheticQuery],
        places: Mapping[str, int],
        *,
        most_synthetic: int,
    ) -> ClickedQueries:
        """The shoppers' queries that clicked a product of the catalogue, and at most so many synthetic ones."""
        clicked: dict[str, dict[int, float]] = {}
        for query in feedback.by_query if feedback else ():
            found = {places[p.product]: p.weight for p in feedback.positives(query) if p.product in places}  # type: ignore[union-attr]
            if found:
                clicked[query] = found
        real = len(clicked)
        made: dict[str, dict[int, float]] = defaultdict(dict)
        for item in synthetic:
            if item.text not in clicked:
                made[item.text][item.product] = float(item.count)
        drawn = list(made)
        random.Random(_SYNTHETIC_SEED).shuffle(drawn)  # noqa: S311
        clicked |= {text: made[text] for text in drawn[:most_synthetic]}
        return cls(list(clicked), list(clicked.values()), real)

    def matrix(self, products: int) -> sparse.csr_matrix:
        """Float32 (queries, products), rows add up to 1."""
        bounds = np.concatenate(([0], np.cumsum([len(row) for row in self.products])))
        columns = np.array([place for row in self.products for place in row], np.int64)
        weights = np.array([w / sum(row.values()) for row in self.products for w in row.values()], np.float32)
        return sparse.csr_matrix((weights, columns, bounds), shape=(len(self.texts), products))


def pair_data(
    catalogue: Catalogue, asked: ClickedQueries, model: CodeTexts, *, query_codes: int, titles: PairSide
) -> PairData:
    """A round's data: the queries' codes under the model as it is, and the titles', which the caller has."""
    queries = catalogue.code_queries(model, asked.texts, query_codes)
    return PairData(queries, titles, asked.matrix(len(catalogue.own)), asked.real)


def measure_recall(
    catalogue: Catalogue,
    held_out: ClickedQueries,
    model: CodeTexts,
    titles: PairSide,
    weights: PairWeights,
    *,
    query_codes: int,
    at: Sequence[int] = (10, 100, 300),
) -> dict[str, float]:
    """Mean recall of the clicked products of queries that were not learned from, by the pair score over the catalogue."""
    queries = catalogue.code_queries(model, held_out.texts, query_codes)
    ranked = rank_products(queries.codes, titles.codes, weights, len(catalogue.columns), depth=max(at))
    recalls = dict.fromkeys(at, 0.0)
    for places, clicked in zip(ranked, held_out.products, strict=True):
        for depth in at:
            recalls[depth] += len(set(places[:depth].tolist()) & clicked.keys()) / len(clicked)
    return {f"R@{depth}": total / max(1, len(ranked)) for depth, total in recalls.items()}
