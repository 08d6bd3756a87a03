"""The teacher: codes for a text without clicks, out of the products that the text most likely means.

For each text (a synthetic query, a title) the teacher ranks the catalogue by own values and by a pretrained sentence
encoder, fused by reciprocal rank. The text's codes are the values that the best products share, weighted by how rare
they are. On Home Depot this teacher alone lifts R@300 from .824 (own values) to .871 (docs/log.md). A generator that
is trained on its codes needs neither the index nor the encoder's vectors when it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
import torch

from gram_os.arrays import FloatArray, IntArray
from gram_os.train.lessons.ranking import find_largest, fuse_rankings, score_by_vectors, weigh_queries, weigh_titles
from gram_os.train.lessons.targets import Target, add_codes
from gram_os.train.mining.catalogue import MinedCatalogue

_BATCH = 512  # texts that are ranked together: 112 MB of scores for 54,667 products


@dataclass(frozen=True)
class Teacher:
    """Ranks the catalogue for texts, and gives them the codes of the best products.

    vectors: float32 (products, width), unit length, of the titles. depth: how many of a query's best products count.
    """

    mined: MinedCatalogue
    vectors: FloatArray
    depth: int = 30

    def query_targets(self, rows: Sequence[Sequence[str]], vectors: FloatArray) -> list[Target]:
        """Make the targets of queries.

        rows: the queries' own values. vectors: float32 (queries, width), their unit embeddings.
        """
        own = weigh_queries(self.mined, rows)
        weighted = weigh_titles(self.mined)
        titles = self._titles()
        codes_of_two = self._pair_keys()
        found: list[Target] = []
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            literal = torch.from_numpy((own[part] @ weighted).toarray())
            places, weights = fuse_rankings(literal, score_by_vectors(vectors[part], titles), self.depth)
            weights = _share_rows(weights)
            singles = self._singles(self._support(places, weights), 16)
            pairs = self._pairs(singles, places, weights, codes_of_two, 8)
            found += _make_targets(len(places), [singles.codes(), pairs])
        return found

    def title_targets(self, vectors: FloatArray, texts: sparse.csr_matrix | None = None) -> list[Target]:
        """Make the targets of titles: the values that their nearest products share, and their own initial codes.

        vectors: float32 (products, width), the titles' own. texts: float (products, columns), values in other texts
        of the product, such as its description; from them the generator learns what the title does not say.
        """
        titles = self._titles()
        nearest = min(10, len(self.vectors))
        found: list[Target] = []
        for start in range(0, len(vectors), _BATCH):
            places = find_largest(score_by_vectors(vectors[start : start + _BATCH], titles), nearest)[1].numpy()
            weights = np.tile((1 / (2 + np.arange(nearest))).astype(np.float32), (len(places), 1))
            support = self._support(places, _share_rows(weights))
            if texts is not None:
                support = support + 0.15 * texts[start : start + len(places)]
            found += _make_targets(len(places), [self._singles(sparse.csr_matrix(support), 24).codes()])
        return [add_codes(t, codes, 0.3) for t, codes in zip(found, self.mined.initial, strict=True)]

    def _titles(self) -> torch.Tensor:
        """The titles' vectors as bfloat16 (width, products): half the memory, and a faster matrix product."""
        return torch.from_numpy(self.vectors).bfloat16().T

    def _pair_keys(self) -> IntArray:
        """The codes of two values as one number each, ascending."""
        size = len(self.mined.dictionary.values)
        return np.array(sorted(c[0] * size + c[1] for c in self.mined.codes if len(c) == 2), dtype=np.int64)

    def _support(self, places: IntArray, weights: FloatArray) -> sparse.csr_matrix:
        """Add up for each value the weights of the ranked products (texts, depth) that have it: (texts, columns)."""
        bounds = np.arange(len(places) + 1) * places.shape[1]
        chooser = sparse.csr_matrix(
            (weights.ravel(), places.ravel(), bounds), shape=(len(places), self.mined.own.shape[0])
        )
        return sparse.csr_matrix(chooser @ self.mined.own)

    def _singles(self, support: sparse.csr_matrix, most: int) -> _Singles:
        """The `most` values of each text with the largest support x idf, among the values of the dictionary."""
        rows = np.repeat(np.arange(support.shape[0]), np.diff(support.indptr))
        columns, gains = support.indices, support.data * self.mined.idf[support.indices]
        kept = np.flatnonzero((self.mined.known[columns] >= 0) & (gains > 0))
        kept = kept[np.lexsort((columns[kept], -gains[kept], rows[kept]))]
        kept = kept[_places_in_row(rows[kept]) < most]
        return _Singles(rows[kept], columns[kept], self.mined.known[columns[kept]], gains[kept])

    def _pairs(
        self,
        singles: _Singles,
        places: IntArray,
        weights: FloatArray,
        codes_of_two: IntArray,
        most: int,
    ) -> _Weighted:
        """The `most` best codes of two of each text's first eight values, by the ranked products that have both values.

        codes_of_two: what `_pair_keys` returns; no other pair is a code.
        """
        wide, idf = 8, self.mined.idf
        ranks = _places_in_row(singles.rows)
        first = ranks < wide
        at = singles.rows[first], ranks[first]
        columns = np.zeros((len(places), wide), np.int64)  # (texts, 8)
        tokens = np.full((len(places), wide), -1, np.int64)
        columns[at], tokens[at] = singles.columns[first], singles.tokens[first]
        holds = self._mark_values(at, columns[at], places, wide)  # (texts, depth, 8)
        shares = (holds * weights[:, :, None]).transpose(0, 2, 1) @ holds  # (texts, 8, 8)
        i, j = np.triu_indices(wide, 1)
        gains = 0.5 * shares[:, i, j] * (idf[columns[:, i]] + idf[columns[:, j]])  # (texts, 28)
        low, high = np.minimum(tokens[:, i], tokens[:, j]), np.maximum(tokens[:, i], tokens[:, j])
        keys = low * len(self.mined.dictionary.values) + high
        rows, found = np.nonzero((gains > 0) & (low >= 0) & np.isin(keys, codes_of_two))
        order = np.lexsort((keys[rows, found], -gains[rows, found], rows))
        order = order[_places_in_row(rows[order]) < most]
        rows, found = rows[order], found[order]
        return _Weighted(rows, low[rows, found], high[rows, found], gains[rows, found])

    def _mark_values(
        self,
        at: tuple[IntArray, IntArray],
        columns: IntArray,
        places: IntArray,
        wide: int,
    ) -> FloatArray:
        """Mark which ranked products have which of the text's values: float32 (texts, depth, wide), 1 or 0.

        at: row and slot of each value. columns: the value's column. places: int64 (texts, depth), the ranked products.
        """
        count, depth = places.shape
        slot = np.full((count, self.mined.own.shape[1]), -1, np.int8)
        slot[at[0], columns] = at[1]
        ranked = self.mined.own[places.ravel()]
        entries = np.repeat(np.arange(count * depth), np.diff(ranked.indptr))
        slots = slot[entries // depth, ranked.indices]
        holds = np.zeros((count * depth, wide), np.float32)
        holds[entries[slots >= 0], slots[slots >= 0]] = 1
        return holds.reshape(count, depth, wide)


@dataclass(frozen=True, slots=True)
class _Weighted:
    """Codes of one value (`high` is -1) or of two, for many texts, in arrays of equal length: text, tokens, gain."""

    rows: IntArray
    low: IntArray
    high: IntArray
    gains: FloatArray


@dataclass(frozen=True, slots=True)
class _Singles:
    """Values of many texts in arrays of equal length, text by text, the best first: text, column, token, gain."""

    rows: IntArray
    columns: IntArray
    tokens: IntArray
    gains: FloatArray

    def codes(self) -> _Weighted:
        return _Weighted(self.rows, self.tokens, np.full(len(self.rows), -1, np.int64), self.gains)


def _places_in_row(rows: IntArray) -> IntArray:
    """Count 0, 1, 2 ... within each run of equal numbers of an ascending array."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    return np.arange(len(rows)) - np.repeat(starts, lengths)


def _make_targets(count: int, parts: Sequence[_Weighted]) -> list[Target]:
    """Make the targets of `count` texts: all their codes, ascending, with shares that add up to 1."""
    rows = np.concatenate([part.rows for part in parts])
    low = np.concatenate([part.low for part in parts])
    high = np.concatenate([part.high for part in parts])
    gains = np.concatenate([part.gains for part in parts]).astype(np.float64)
    order = np.lexsort((high, low, rows))
    shares = (gains / np.bincount(rows, gains, minlength=count)[rows])[order].tolist()
    pairs = zip(low[order].tolist(), high[order].tolist(), strict=True)
    codes = [(a,) if b < 0 else (a, b) for a, b in pairs]
    bounds = np.searchsorted(rows[order], np.arange(count + 1)).tolist()
    return [Target(tuple(codes[a:b]), tuple(shares[a:b])) for a, b in pairwise(bounds)]


def _share_rows(weights: FloatArray) -> FloatArray:
    """Scale each row so that it adds up to 1; a row of zeros stays."""
    return np.asarray(weights / np.maximum(weights.sum(1, keepdims=True), 1e-9), np.float32)
