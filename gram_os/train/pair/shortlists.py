"""The pairs that a fit of the pair scorer looks at again and again: of each query the products that come into question.

A trial of new parameters would score the whole catalogue for every query. What stands far down under one sensible setting does
not come up under another, so a query's best products are drawn once, with the codes that they share, and a trial is
a weighted sum over those. Knows codes and parameters (`coding`, `PairWeights`), no loss.
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
    """Codes of queries and of the catalogue's titles, and the products (places) that each query clicked, with weights.

    columns: what the codes' columns stand for.
    """

    queries: CodedTexts
    titles: CodedTexts
    clicked: Sequence[Mapping[int, float]]
    columns: Columns


@dataclass(frozen=True)
class Shortlists:
    """The products of each query that come into question, one query after the other, and all codes that a pair shares.

    products: how many the catalogue has.     bounds: query q's products stand at `bounds[q]` to `bounds[q + 1]`; clicked: of each query, the places among its own
    products of those that it clicked, with their weights. pairs, asked, offered: int32 (shared codes,), the pair that shares
    the code, and where the code stands among the codes of all queries and of `titles`; titles: the codes of titles that
    occur, as one text each; lengths: float32, own values of each one's title; rarity: float32 (columns,), idf.
    """

    products: int
    queries: CodedTexts
    titles: CodedTexts
    columns: Columns
    bounds: IntArray
    clicked: Sequence[tuple[IntArray, FloatArray]]
    pairs: Int32Array
    asked: Int32Array
    offered: Int32Array
    lengths: FloatArray
    rarity: FloatArray

    @classmethod
    def draw(cls, data: PairData, weights: PairWeights, most: int) -> Shortlists:
        """The `most` best products of each query under `weights`, and those that it clicked."""
        bounds, clicked, pairs, asked, offered = [0], [], [], [], []
        codes = data.titles
        slots = np.full(len(data.columns), -1, np.int64)  # where the query at hand has a column
        for query, scores in enumerate(score_products(data.queries, codes, weights, data.columns)):
            wanted = np.fromiter(data.clicked[query], np.int64)
            places = np.union1d(best_places(scores, most), wanted)
            at = np.concatenate([np.arange(codes.bounds[p], codes.bounds[p + 1]) for p in places])
            mine = data.queries.of(query)
            slots[data.queries.columns[mine]] = np.arange(mine.start, mine.stop)
            found = slots[codes.columns[at]]
            slots[data.queries.columns[mine]] = -1
            sizes = codes.bounds[places + 1] - codes.bounds[places]
            shared = found >= 0
            pairs.append((np.repeat(np.arange(len(places)), sizes)[shared] + bounds[-1]).astype(np.int32))
            asked.append(found[shared].astype(np.int32))
            offered.append(at[shared].astype(np.int32))
            bounds.append(bounds[-1] + len(places))
            clicked.append((np.searchsorted(places, wanted), np.fromiter(data.clicked[query].values(), np.float32)))
        used, renumbered = np.unique(np.concatenate(offered), return_inverse=True)
        alone = CodedTexts(np.arange(len(used) + 1), codes.columns[used], codes.kinds[used], codes.log_ratios[used])
        rarity = idf(codes.frequencies(len(data.columns)), len(codes))
        return cls(
            len(codes), data.queries, alone, data.columns, np.array(bounds), clicked, np.concatenate(pairs), np.concatenate(asked),
            renumbered.astype(np.int32), codes.code_lengths()[used], rarity,
        )  # fmt: skip

    def scores(self, weights: PairWeights) -> Iterator[FloatArray]:
        """The pair scores of each query's products in turn."""
        rarity = self.rarity**weights.idf_exponent * (self.rarity > 0)
        queries = self.queries
        asked = queries.weights(weights.query, self.columns, queries.code_lengths()) * rarity[queries.columns]
        offered = self.titles.weights(weights.title, self.columns, self.lengths)
        parts = asked[self.asked] * offered[self.offered]
        total = np.bincount(self.pairs, parts, minlength=int(self.bounds[-1])).astype(np.float32)
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield total[start:stop]
