"""What the generator is taught where nobody's clicks exist: codes of the products that a text most likely means.

For each text (a synthetic query, a title) a teacher ranks the catalogue, by literal values and by a pretrained
sentence encoder, fused by reciprocal rank; the values that the best products share, weighted by how rare they are,
are its codes. On Home Depot this teacher alone lifts R@300 from .824 (own values) to .871 (docs/log.md), and the
generator that learns it needs neither the index nor the encoder's vectors when it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
import torch
from numpy.typing import NDArray

from gram_os.train.mining import Mined

FloatArray = NDArray[np.float32]
Tokens = tuple[int, ...]


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
        own = self._own_matrix(rows)
        weighted = self._length_normalised()
        found: list[Target] = []
        for start in range(0, len(rows), 512):
            part = slice(start, start + 512)
            literal = torch.from_numpy((own[part] @ weighted).toarray())
            dense = self._similarity(vectors[part])
            found += self._targets(_fuse(literal, dense, self.depth), singles=16, combined=8)
        return found

    def title_targets(self, vectors: FloatArray, texts: sparse.csr_matrix | None = None) -> list[Target]:
        """Targets of the titles: values that their nearest products share, and their own initial codes.

        texts: float (products, columns), values that other texts of the product hold (its description); what the
        title does not say can be learned from there.
        """
        found: list[Target] = []
        for start in range(0, len(vectors), 512):
            nearest = min(10, len(self.vectors))
            ranked = self._similarity(vectors[start : start + 512]).topk(nearest).indices.numpy()
            weights = np.tile((1 / (2 + np.arange(nearest))).astype(np.float32), (len(ranked), 1))
            places = np.arange(start, start + len(ranked))
            found += self._targets((ranked, weights), singles=24, combined=0, texts=texts, products=places)
        return [_blend(t, codes, 0.3) for t, codes in zip(found, self.mined.initial, strict=True)]

    def _similarity(self, vectors: FloatArray) -> torch.Tensor:
        titles = torch.from_numpy(self.vectors).bfloat16()
        return (torch.from_numpy(vectors).bfloat16() @ titles.T).float()

    def _own_matrix(self, rows: Sequence[Sequence[str]]) -> sparse.csr_matrix:
        columns = [[c for v in row if (c := self.mined.columns.get(v)) is not None] for row in rows]
        indices = np.array([c for row in columns for c in row], dtype=np.int32)
        indptr = np.concatenate(([0], np.cumsum([len(row) for row in columns])))
        return sparse.csr_matrix(
            (self.mined.idf[indices], indices, indptr), shape=(len(rows), len(self.mined.columns))
        )

    def _length_normalised(self) -> sparse.csr_matrix:
        """BM25's saturation for values that occur once: 1 / (1 + k1 (1 - b + b length / mean)), transposed."""
        lengths = np.asarray(self.mined.own.sum(1)).ravel()
        scale = 1 / (1 + 1.2 * (0.25 + 0.75 * lengths / lengths.mean()))
        return (sparse.diags(scale.astype(np.float32)) @ self.mined.own).T.tocsr()

    def _targets(
        self,
        ranked: tuple[NDArray[np.int64], FloatArray],
        *,
        singles: int,
        combined: int,
        texts: sparse.csr_matrix | None = None,
        products: NDArray[np.int64] | None = None,
    ) -> list[Target]:
        """The values that ranked products (texts, depth) share, the products weighted (texts, depth)."""
        places, weights = ranked
        count = len(places)
        weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
        chooser = sparse.csr_matrix(
            (weights.ravel(), places.ravel(), np.arange(count + 1) * places.shape[1]),
            shape=(count, self.mined.own.shape[0]),
        )
        support = chooser @ self.mined.own
        if texts is not None and products is not None:
            support = support + 0.15 * texts[products]
        support = sparse.csr_matrix(support)
        alive = set(self.mined.codes) if combined else set()
        found = []
        for row in range(count):
            start, stop = support.indptr[row], support.indptr[row + 1]
            columns = support.indices[start:stop]
            known = self.mined.known[columns] >= 0
            columns, shares = columns[known], support.data[start:stop][known]
            gains = shares * self.mined.idf[columns]
            best = np.argsort(-gains)[:singles]
            codes: dict[Tokens, float] = {
                (int(self.mined.known[c]),): float(g) for c, g in zip(columns[best], gains[best], strict=True)
            }
            if combined:
                codes |= self._combine(columns[best[:8]], places[row], weights[row], alive, combined)
            found.append(_target(codes))
        return found

    def _combine(
        self,
        columns: NDArray[np.int32],
        places: NDArray[np.int64],
        weights: FloatArray,
        alive: set[Tokens],
        most: int,
    ) -> dict[Tokens, float]:
        """Codes of two values that the ranked products share."""
        holds = self.mined.own[places][:, columns].toarray() > 0  # (depth, values)
        tokens = [int(self.mined.known[c]) for c in columns]
        found: dict[Tokens, float] = {}
        for i in range(len(tokens)):
            for j in range(i + 1, len(tokens)):
                pair = tuple(sorted((tokens[i], tokens[j])))
                if pair in alive:
                    share = float(weights[holds[:, i] & holds[:, j]].sum())
                    found[pair] = 0.5 * share * float(self.mined.idf[columns[i]] + self.mined.idf[columns[j]])
        best = sorted(found, key=lambda p: (-found[p], p))[:most]
        return {pair: found[pair] for pair in best if found[pair] > 0}


def _fuse(literal: torch.Tensor, dense: torch.Tensor, depth: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Reciprocal rank fusion (k = 60) of two score matrices (texts, products): places and weights (texts, depth).

    Weights fall with the fused rank r as 1 / (5 + r); a product that neither ranking has weighs nothing.
    """
    depth = min(depth, literal.shape[1])
    ranks = torch.zeros_like(literal)
    for scores in (literal, dense):
        best = scores.topk(min(4 * depth, scores.shape[1]))
        gains = (1 / (61 + torch.arange(best.indices.shape[1]))).expand(best.indices.shape) * (
            best.values > 0
        )
        ranks.scatter_add_(1, best.indices, gains)
    best = ranks.topk(depth)
    weights = (1 / (5 + np.arange(depth))).astype(np.float32) * (best.values.numpy() > 0)
    return best.indices.numpy(), weights


def _target(weights: dict[Tokens, float]) -> Target:
    total = sum(weights.values())
    codes = tuple(sorted(weights)) if total > 0 else ()
    return Target(codes, tuple(weights[c] / total for c in codes))


def _blend(target: Target, codes: Sequence[Tokens], share: float) -> Target:
    """Give `share` of the mass to `codes`, evenly."""
    if not codes:
        return target
    weights = {c: s * (1 - share) for c, s in zip(target.codes, target.shares, strict=True)}
    for code in codes:
        weights[code] = weights.get(code, 0.0) + share / len(codes)
    return _target(weights)
