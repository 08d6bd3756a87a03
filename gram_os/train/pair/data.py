"""What the pair scorer is trained and measured on: own values of all texts as columns, clicked products as places.

Knows catalogue and feedback; a model is a function that codes texts (`CodeTexts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gram_os.arrays import IntArray
from gram_os.model.pair_weights import PairWeights
from gram_os.text.attribute import Side
from gram_os.text.own_values import product_values, query_values
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.mining.catalogue import Mined
from gram_os.train.pair.coding import CodedTexts, Columns, rank_products
from gram_os.train.pair.shortlists import PairData


class CodeTexts(Protocol):
    """A backbone that codes texts."""

    def ids(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """Token ids."""

    def code(self, ids: Sequence[Sequence[int]], side: Side, own: Sequence[IntArray], width: int) -> CodedTexts:
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
            values = product_values(product, mined.attributes, mined.normaliser, mined.dictionary, mined.texts)
            own.append(np.unique([columns.setdefault(value, len(columns)) for value in values]))
        return cls(mined, own, columns, {product.id: at for at, product in enumerate(mined.products)})

    def query_columns(self, text: str) -> IntArray:
        """Own values of a query, of those that some product has."""
        mined = self.mined
        values = query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary)
        return np.unique([self.columns[value] for value in values if value in self.columns]).astype(np.int64)

    def code_titles(self, model: CodeTexts, width: int) -> CodedTexts:
        """The catalogue's codes under a model."""
        ids = model.ids([product.title for product in self.mined.products], Side.TITLE)
        return model.code(ids, Side.TITLE, self.own, width)

    def code_queries(self, model: CodeTexts, texts: Sequence[str], width: int) -> CodedTexts:
        """Queries' codes under a model."""
        ids = model.ids(texts, Side.QUERY)
        own = [self.query_columns(text) for text in texts]
        return model.code(ids, Side.QUERY, own, width)


@dataclass(frozen=True)
class ClickedQueries:
    """Query texts, and the places of the products that each clicked, with weights."""

    texts: Sequence[str]
    products: Sequence[Mapping[int, float]]

    @classmethod
    def gather(cls, feedback: Feedback, places: Mapping[str, int]) -> ClickedQueries:
        """The queries that clicked a product of the catalogue."""
        clicked: dict[str, dict[int, float]] = {}
        for query in feedback.by_query:
            found = {places[p.product]: p.weight for p in feedback.positives(query) if p.product in places}
            if found:
                clicked[query] = found
        return cls(list(clicked), list(clicked.values()))

    def draw(self, most: int) -> ClickedQueries:
        """At most so many of them, always the same ones."""
        if len(self.texts) <= most:
            return self
        places = np.sort(np.random.default_rng(0).permutation(len(self.texts))[:most]).tolist()
        return ClickedQueries([self.texts[at] for at in places], [self.products[at] for at in places])


def pair_data(
    catalogue: Catalogue, asked: ClickedQueries, model: CodeTexts, titles: CodedTexts, *, width: int
) -> PairData:
    """What the pair scorer is fitted on: the queries' codes under the model, and the titles', which the caller has."""
    queries = catalogue.code_queries(model, asked.texts, width)
    return PairData(queries, titles, asked.products, Columns.of(catalogue.columns))


def measure_recall(data: PairData, weights: PairWeights, *, at: Sequence[int] = (10, 100, 300)) -> dict[str, float]:
    """Mean recall of the clicked products of queries that were not learned from, by the pair score over the catalogue."""
    ranked = rank_products(data.queries, data.titles, weights, data.columns, depth=max(at))
    recalls = dict.fromkeys(at, 0.0)
    for places, clicked in zip(ranked, data.clicked, strict=True):
        for depth in at:
            recalls[depth] += len(set(places[:depth].tolist()) & clicked.keys()) / len(clicked)
    return {f"R@{depth}": total / max(1, len(ranked)) for depth, total in recalls.items()}
