"""The data that the pair scorer is trained and measured on: own values as columns, clicked products as places.

Knows the catalogue and feedback. A model is anything that codes texts (`CodeTexts`).
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
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.pair.coding import CodedTexts, Columns, rank_products
from gram_os.train.pair.shortlists import PairData

_DEPTHS = (10, 100, 300)


class CodeTexts(Protocol):
    """What codes texts: a backbone."""

    def ids(self, texts: Sequence[str], side: Side) -> list[list[int]]:
        """Return the token ids of texts."""

    def code(self, ids: Sequence[Sequence[int]], side: Side, own: Sequence[IntArray], width: int) -> CodedTexts:
        """Code texts (token ids) by their own values (columns) and the `width` likeliest values."""


@dataclass(frozen=True)
class Catalogue:
    """The products, with their own values as columns; the columns of dictionary values are their tokens.

    own: the ascending columns of each product's own values. columns: value -> its column, for all values that some
    product has. places: product id -> its place.
    """

    mined: MinedCatalogue
    own: Sequence[IntArray]
    columns: Mapping[str, int]
    places: Mapping[str, int]

    @classmethod
    def read(cls, mined: MinedCatalogue) -> Catalogue:
        """Number the own values of all products."""
        columns = dict(mined.dictionary.tokens)
        own = []
        for product in mined.products:
            values = product_values(product, mined.attributes, mined.normaliser, mined.dictionary, mined.texts)
            own.append(np.unique([columns.setdefault(value, len(columns)) for value in values]))
        return cls(mined, own, columns, {product.id: at for at, product in enumerate(mined.products)})

    def query_columns(self, text: str) -> IntArray:
        """Return the columns of a query's own values, without values that no product has."""
        mined = self.mined
        values = query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary)
        return np.unique([self.columns[value] for value in values if value in self.columns]).astype(np.int64)

    def code_titles(self, model: CodeTexts, width: int) -> CodedTexts:
        """Code all titles with a model."""
        ids = model.ids([product.title for product in self.mined.products], Side.TITLE)
        return model.code(ids, Side.TITLE, self.own, width)

    def code_queries(self, model: CodeTexts, texts: Sequence[str], width: int) -> CodedTexts:
        """Code queries with a model."""
        ids = model.ids(texts, Side.QUERY)
        own = [self.query_columns(text) for text in texts]
        return model.code(ids, Side.QUERY, own, width)


@dataclass(frozen=True)
class ClickedQueries:
    """Query texts, and for each the places of its clicked products with their weights."""

    texts: Sequence[str]
    products: Sequence[Mapping[int, float]]

    @classmethod
    def gather(cls, feedback: Feedback, places: Mapping[str, int]) -> ClickedQueries:
        """Gather the queries that clicked a product of the catalogue."""
        clicked: dict[str, dict[int, float]] = {}
        for query in feedback.by_query:
            found = {places[p.product]: p.weight for p in feedback.positives(query) if p.product in places}
            if found:
                clicked[query] = found
        return cls(list(clicked), list(clicked.values()))

    def draw(self, most: int) -> ClickedQueries:
        """Draw at most `most` queries, always the same ones."""
        if len(self.texts) <= most:
            return self
        places = np.sort(np.random.default_rng(0).permutation(len(self.texts))[:most]).tolist()
        return ClickedQueries([self.texts[at] for at in places], [self.products[at] for at in places])


def make_pair_data(
    catalogue: Catalogue, queries: ClickedQueries, model: CodeTexts, titles: CodedTexts, *, width: int
) -> PairData:
    """Code clicked queries with the model, and join them with the titles' codes (`Catalogue.code_titles`)."""
    codes = catalogue.code_queries(model, queries.texts, width)
    return PairData(codes, titles, queries.products, Columns.of(catalogue.columns))


def measure_recall(data: PairData, weights: PairWeights) -> dict[str, float]:
    """Return the mean recall of the queries' clicked products by the pair score over the catalogue, at `_DEPTHS`."""
    ranked = rank_products(data.queries, data.titles, weights, data.columns, depth=max(_DEPTHS))
    recalls = dict.fromkeys(_DEPTHS, 0.0)
    for places, clicked in zip(ranked, data.clicked, strict=True):
        for depth in _DEPTHS:
            recalls[depth] += len(set(places[:depth].tolist()) & clicked.keys()) / len(clicked)
    return {f"R@{depth}": total / max(1, len(ranked)) for depth, total in recalls.items()}
