"""Shortlists: for each query the few products that a fit of the pair scorer scores again and again.

Without them every step of a fit would score the whole catalogue for every query. A product that ranks far down under
one sensible setting does not come to the top under another one. So each query's best products are collected once,
with the codes that query and product share, and a step is a weighted sum over those. Knows codes and parameters
(`coding`, `PairWeights`). Knows no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gram_os.arrays import FloatArray, Int32Array, IntArray
from gram_os.model.pair_weights import PairWeights
from gram_os.train.lessons.sparse_rows import best_places
from gram_os.train.pair.coding import CodedTexts, Columns, idf, score_products


@dataclass(frozen=True)
class PairData:
    """Codes of queries and of the catalogue's titles, and the clicks.

    clicked: for each query the places of its clicked products, with weights. columns: the traits of the codes' columns.
    """

    queries: CodedTexts
    titles: CodedTexts
    clicked: Sequence[Mapping[int, float]]
    columns: Columns


@dataclass(frozen=True)
class Shortlists:
    """The shortlisted products of all queries, one query after the other, and all codes that each pair shares.

    products: how many products the catalogue has. queries: the codes of the queries. titles: the title codes that
    occur in a pair, as one text each. columns: the traits of the codes' columns. bounds: the pairs of query q are at
    `bounds[q]` to `bounds[q + 1]`. clicked: for each query the places of its clicked products within its shortlist,
    and their weights. pairs, query_codes, title_codes: int32 (shared codes,) each: the pair that shares the code, and
    the place of the code among the codes of all queries and among those of `titles`. lengths: float32, how many own
    values the title of each code in `titles` has. rarity: float32 (columns,), idf.
    """

    products: int
    queries: CodedTexts
    titles: CodedTexts
    columns: Columns
    bounds: IntArray
    clicked: Sequence[tuple[IntArray, FloatArray]]
    pairs: Int32Array
    query_codes: Int32Array
    title_codes: Int32Array
    lengths: FloatArray
    rarity: FloatArray

    @classmethod
    def draw(cls, data: PairData, weights: PairWeights, most: int) -> Shortlists:
        """Shortlist the `most` best products of each query under `weights`, and the products that it clicked."""
        bounds, clicked, pairs, query_codes, title_codes = [0], [], [], [], []
        codes = data.titles
        slots = np.full(len(data.columns), -1, np.int64)  # column -> its place among the codes of the query at hand
        for query, scores in enumerate(score_products(data.queries, codes, weights, data.columns)):
            wanted = np.fromiter(data.clicked[query], np.int64)
            places = np.union1d(best_places(scores, most), wanted)
            at = np.concatenate([np.arange(codes.bounds[p], codes.bounds[p + 1]) for p in places])
            own = data.queries.of(query)
            slots[data.queries.columns[own]] = np.arange(own.start, own.stop)
            found = slots[codes.columns[at]]
            slots[data.queries.columns[own]] = -1
            sizes = codes.bounds[places + 1] - codes.bounds[places]
            shared = found >= 0
            pairs.append((np.repeat(np.arange(len(places)), sizes)[shared] + bounds[-1]).astype(np.int32))
            query_codes.append(found[shared].astype(np.int32))
            title_codes.append(at[shared].astype(np.int32))
            bounds.append(bounds[-1] + len(places))
            clicked.append((np.searchsorted(places, wanted), np.fromiter(data.clicked[query].values(), np.float32)))
        used, renumbered = np.unique(np.concatenate(title_codes), return_inverse=True)
        return cls(
            products=len(codes),
            queries=data.queries,
            titles=CodedTexts(np.arange(len(used) + 1), codes.columns[used], codes.kinds[used], codes.log_ratios[used]),
            columns=data.columns,
            bounds=np.array(bounds),
            clicked=clicked,
            pairs=np.concatenate(pairs),
            query_codes=np.concatenate(query_codes),
            title_codes=renumbered.astype(np.int32),
            lengths=codes.code_lengths()[used],
            rarity=idf(codes.frequencies(len(data.columns)), len(codes)),
        )

    def scores(self, weights: PairWeights) -> Iterator[FloatArray]:
        """Yield for each query the pair scores of its shortlisted products."""
        rarity = self.rarity**weights.idf_exponent * (self.rarity > 0)
        queries = self.queries
        query_weights = queries.weights(weights.query, self.columns, queries.code_lengths()) * rarity[queries.columns]
        title_weights = self.titles.weights(weights.title, self.columns, self.lengths)
        parts = query_weights[self.query_codes] * title_weights[self.title_codes]
        total = np.bincount(self.pairs, parts, minlength=int(self.bounds[-1])).astype(np.float32)
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield total[start:stop]
