"""What the generator is taught where nobody's clicks exist: codes of the products that a text most likely means.

For each text (a synthetic query, a title) a teacher ranks the catalogue, by literal values and by a pretrained
sentence encoder, fused by reciprocal rank; the values that the best products share, weighted by how rare they are,
are its codes. On Home Depot this teacher alone lifts R@300 from .824 (own values) to .871 (docs/log.md), and the
generator that learns it needs neither the index nor the encoder's vectors when it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
import torch

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.dictionary import Tokens
from gram_os.train.mining.catalogue import Mined

BATCH = 512  # texts that are ranked together: 112 MB of scores for 54,667 products


@dataclass(frozen=True, slots=True)
class Target:
    """The codes that a text should get, as ascending tokens, and their shares (they add up to 1)."""

    codes: tuple[Tokens, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Teacher:
    """Ranks the catalogue for a text.

    vectors: float32 (products, width), unit length, of the titles; mined: the catalogue; depth: products that say what
    a text means.
    """

    mined: Mined
    vectors: FloatArray
    depth: int = 30

    def query_targets(self, rows: Sequence[Sequence[str]], vectors: FloatArray) -> list[Target]:
        """Targets of queries: `rows` are their own values, `vectors` (queries, width) their unit embeddings."""
        own = own_matrix(self.mined, rows)
        weighted = length_normalised(self.mined)
        titles = self._titles()
        alive = self._pair_keys()
        found: list[Target] = []
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            literal = torch.from_numpy((own[part] @ weighted).toarray())
            places, weights = _fuse(literal, _similarity(vectors[part], titles), self.depth)
            weights = _shares(weights)
            singles = self._singles(self._support(places, weights), 16)
            pairs = self._pairs(singles, places, weights, alive, 8)
            found += _make_targets(len(places), [singles.codes(), pairs])
        return found

    def title_targets(self, vectors: FloatArray, texts: sparse.csr_matrix | None = None) -> list[Target]:
        """Targets of the titles: values that their nearest products share, and their own initial codes.

        texts: float (products, columns), values that other texts of the product hold (its description); what the
        title does not say can be learned from there.
        """
        titles = self._titles()
        nearest = min(10, len(self.vectors))
        found: list[Target] = []
        for start in range(0, len(vectors), BATCH):
            places = _top(_similarity(vectors[start : start + BATCH], titles), nearest)[1].numpy()
            weights = np.tile((1 / (2 + np.arange(nearest))).astype(np.float32), (len(places), 1))
            support = self._support(places, _shares(weights))
            if texts is not None:
                support = support + 0.15 * texts[start : start + len(places)]
            found += _make_targets(len(places), [self._singles(sparse.csr_matrix(support), 24).codes()])
        return [_blend(t, codes, 0.3) for t, codes in zip(found, self.mined.initial, strict=True)]

    def _titles(self) -> torch.Tensor:
        """bfloat16 (width, products): half the memory of the whole catalogue, and the faster product of matrices."""
        return torch.from_numpy(self.vectors).bfloat16().T

    def _pair_keys(self) -> IntArray:
        """The codes of two values, each as one number, ascending."""
        size = len(self.mined.dictionary.values)
        return np.array(sorted(c[0] * size + c[1] for c in self.mined.codes if len(c) == 2), dtype=np.int64)

    def _support(self, places: IntArray, weights: FloatArray) -> sparse.csr_matrix:
        """Weigh the values: float (texts, columns), the weight of the ranked products (texts, depth) that hold a value."""
        bounds = np.arange(len(places) + 1) * places.shape[1]
        chooser = sparse.csr_matrix(
            (weights.ravel(), places.ravel(), bounds), shape=(len(places), self.mined.own.shape[0])
        )
        return sparse.csr_matrix(chooser @ self.mined.own)

    def _singles(self, support: sparse.csr_matrix, most: int) -> _Singles:
        """The `most` values of each text with the largest support times rarity, among those of the dictionary."""
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
        alive: IntArray,
        most: int,
    ) -> _Weighted:
        """The `most` best codes of two of each text's first eight values: those that live and ranked products share."""
        wide, idf = 8, self.mined.idf
        ranks = _places_in_row(singles.rows)
        first = ranks < wide
        at = singles.rows[first], ranks[first]
        columns = np.zeros((len(places), wide), np.int64)  # (texts, 8)
        tokens = np.full((len(places), wide), -1, np.int64)
        columns[at], tokens[at] = singles.columns[first], singles.tokens[first]
        holds = self._holds(at, columns[at], places, wide)  # (texts, depth, 8)
        shares = (holds * weights[:, :, None]).transpose(0, 2, 1) @ holds  # (texts, 8, 8)
        i, j = np.triu_indices(wide, 1)
        gains = 0.5 * shares[:, i, j] * (idf[columns[:, i]] + idf[columns[:, j]])  # (texts, 28)
        low, high = np.minimum(tokens[:, i], tokens[:, j]), np.maximum(tokens[:, i], tokens[:, j])
        keys = low * len(self.mined.dictionary.values) + high
        rows, found = np.nonzero((gains > 0) & (low >= 0) & np.isin(keys, alive))
        order = np.lexsort((keys[rows, found], -gains[rows, found], rows))
        order = order[_places_in_row(rows[order]) < most]
        rows, found = rows[order], found[order]
        return _Weighted(rows, low[rows, found], high[rows, found], gains[rows, found])

    def _holds(
        self,
        at: tuple[IntArray, IntArray],
        columns: IntArray,
        places: IntArray,
        wide: int,
    ) -> FloatArray:
        """float32 (texts, depth, wide), 1 where a text's ranked product holds the text's value; `at` says whose is which."""
        count, depth = places.shape
        slot = np.full((count, self.mined.own.shape[1]), -1, np.int8)
        slot[at[0], columns] = at[1]
        ranked = self.mined.own[places.ravel()]
        entries = np.repeat(np.arange(count * depth), np.diff(ranked.indptr))
        slots = slot[entries // depth, ranked.indices]
        holds = np.zeros((count * depth, wide), np.float32)
        holds[entries[slots >= 0], slots[slots >= 0]] = 1
        return holds.reshape(count, depth, wide)


def own_matrix(mined: Mined, rows: Sequence[Sequence[str]]) -> sparse.csr_matrix:
    """Texts' own values, weighted by rarity: float32 (texts, columns)."""
    columns = [[c for v in row if (c := mined.columns.get(v)) is not None] for row in rows]
    indices = np.array([c for row in columns for c in row], dtype=np.int32)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in columns])))
    return sparse.csr_matrix((mined.idf[indices], indices, indptr), shape=(len(rows), len(mined.columns)))


def length_normalised(mined: Mined) -> sparse.csr_matrix:
    """BM25's saturation for values that occur once, 1 / (1 + k1 (1 - b + b length / mean)): float32 (columns, products)."""
    lengths = np.asarray(mined.own.sum(1)).ravel()
    scale = 1 / (1 + 1.2 * (0.25 + 0.75 * lengths / lengths.mean()))
    return (sparse.diags(scale.astype(np.float32)) @ mined.own).T.tocsr()


@dataclass(frozen=True, slots=True)
class _Weighted:
    """Codes of one value (`high` is -1) or two of many texts, in equally long arrays: text, tokens, gain."""

    rows: IntArray
    low: IntArray
    high: IntArray
    gains: FloatArray


@dataclass(frozen=True, slots=True)
class _Singles:
    """Values of many texts, text by text, each text's best first: text, column, token, gain."""

    rows: IntArray
    columns: IntArray
    tokens: IntArray
    gains: FloatArray

    def codes(self) -> _Weighted:
        return _Weighted(self.rows, self.tokens, np.full(len(self.rows), -1, np.int64), self.gains)


def _places_in_row(rows: IntArray) -> IntArray:
    """0, 1, 2 ... within each run of equal numbers of an ascending array."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    return np.arange(len(rows)) - np.repeat(starts, lengths)


def _make_targets(count: int, parts: Sequence[_Weighted]) -> list[Target]:
    """Targets of `count` texts: all their codes, ascending, with shares that add up to 1."""
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


def _shares(weights: FloatArray) -> FloatArray:
    """Rows that add up to 1, or to 0."""
    return np.asarray(weights / np.maximum(weights.sum(1, keepdims=True), 1e-9), np.float32)


def _similarity(vectors: FloatArray, titles: torch.Tensor) -> torch.Tensor:
    """bfloat16 (texts, products), of the texts' vectors (texts, width) and the titles' (width, products)."""
    return torch.from_numpy(vectors).bfloat16() @ titles


def _top(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` largest of each row and their places, as `topk` gives them.

    A wide row is cut into blocks of 32; its largest numbers stand in the `count` blocks with the largest maxima, so all
    the others need no sorting.
    """
    rows, width = scores.shape
    if width < 64 * count:
        whole = scores.topk(count)
        return whole.values, whole.indices
    even = width - width % 32
    blocks = scores[:, :even].view(rows, 32, -1)  # block b holds the columns b, b + n, b + 2n ... of the even part
    size = blocks.shape[2]
    best = blocks.amax(1).topk(count).indices  # (rows, count)
    inner = blocks.gather(2, best[:, None].expand(-1, 32, -1)).flatten(1)  # (rows, 32 count)
    found = torch.cat([inner, scores[:, even:]], 1).topk(count)
    at = found.indices
    block = best.gather(1, at % count)
    return found.values, torch.where(at < inner.shape[1], at // count * size + block, at - inner.shape[1] + even)


def _fuse(literal: torch.Tensor, dense: torch.Tensor, depth: int) -> tuple[IntArray, FloatArray]:
    """Reciprocal rank fusion (k = 60) of two score matrices (texts, products): places and weights (texts, depth).

    Weights fall with the fused rank r as 1 / (5 + r); a product that neither ranking has weighs nothing. Of equals the
    literal ranking's comes first.
    """
    depth = min(depth, literal.shape[1])
    said, there = _top(literal, min(4 * depth, literal.shape[1]))
    meant, places = _top(dense, said.shape[1])
    gains = 1 / (61 + torch.arange(said.shape[1]))
    first, second = gains * (said > 0), gains * (meant > 0)  # (texts, 4 depth)
    same = there[:, :, None] == places[:, None, :]  # (texts, 4 depth, 4 depth)
    first = first + (same * second[:, None]).sum(2)
    second = second.masked_fill(same.any(1), -1)  # has its place among the first already
    fused = torch.cat([first, second], 1).sort(dim=1, descending=True, stable=True)
    best = torch.cat([there, places], 1).gather(1, fused.indices[:, :depth])
    weights = (1 / (5 + np.arange(depth))).astype(np.float32) * (fused.values[:, :depth].numpy() > 0)
    return best.numpy(), weights


def _target(weights: dict[Tokens, float]) -> Target:
    total = sum(weights.values())
    codes = tuple(sorted(weights)) if total > 0 else ()
    return Target(codes, tuple(weights[c] / total for c in codes))


def merge_targets(old: Target, new: Target, share: float) -> Target:
    """Both targets' codes, of which `new` makes `share` of the mass; a target without codes leaves all to the other."""
    if not old.codes or not new.codes:
        return new if new.codes else old
    weights = {code: mass * (1 - share) for code, mass in zip(old.codes, old.shares, strict=True)}
    for code, mass in zip(new.codes, new.shares, strict=True):
        weights[code] = weights.get(code, 0.0) + mass * share
    return _target(weights)


def _blend(target: Target, codes: Sequence[Tokens], share: float) -> Target:
    """Give `share` of the mass to `codes`, evenly."""
    if not codes:
        return target
    weights = {c: s * (1 - share) for c, s in zip(target.codes, target.shares, strict=True)}
    for code in codes:
        weights[code] = weights.get(code, 0.0) + share / len(codes)
    return _target(weights)
