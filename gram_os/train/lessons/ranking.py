"""Ranks the catalogue for texts: by their own values, by vectors, and by both. Knows a mined catalogue and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sparse
import torch

from gram_os.arrays import FloatArray, IntArray
from gram_os.train.mining.catalogue import MinedCatalogue


def weigh_queries(mined: MinedCatalogue, rows: Sequence[Sequence[str]]) -> sparse.csr_matrix:
    """Weigh texts' own values, one row of values a text, by idf: float32 (texts, columns).

    `weigh_queries(...) @ weigh_titles(...)` are BM25 scores of values, (texts, products).
    """
    columns = [[c for v in row if (c := mined.columns.get(v)) is not None] for row in rows]
    indices = np.array([c for row in columns for c in row], dtype=np.int32)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in columns])))
    return sparse.csr_matrix((mined.idf[indices], indices, indptr), shape=(len(rows), len(mined.columns)))


def weigh_titles(mined: MinedCatalogue) -> sparse.csr_matrix:
    """Weigh the products' own values by BM25's saturation for values that occur once: float32 (columns, products).

    It is 1 / (1 + k1 (1 - b + b length / mean length)) with k1 = 1.2 and b = .75; length: the product's own values.
    """
    lengths = np.asarray(mined.own.sum(1)).ravel()
    scale = 1 / (1 + 1.2 * (0.25 + 0.75 * lengths / lengths.mean()))
    return (sparse.diags(scale.astype(np.float32)) @ mined.own).T.tocsr()


def score_by_vectors(vectors: FloatArray, titles: torch.Tensor) -> torch.Tensor:
    """Multiply the texts' vectors (texts, width) by the titles' (width, products): bfloat16 (texts, products)."""
    return torch.from_numpy(vectors).bfloat16() @ titles


def find_largest(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the `count` largest numbers of each row and their places, as `topk` does.

    A wide row is cut into blocks of 32. The largest numbers are in the `count` blocks with the largest maxima, so the
    other blocks need no sorting.
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


def fuse_rankings(literal: torch.Tensor, dense: torch.Tensor, depth: int) -> tuple[IntArray, FloatArray]:
    """Fuse two score matrices (texts, products) by reciprocal rank (k = 60): places and weights, both (texts, depth).

    A weight falls with the fused rank r (from 0) as 1 / (5 + r). A product that scores above 0 in neither ranking has
    weight 0. Of equally ranked products those of the literal ranking come first.
    """
    depth = min(depth, literal.shape[1])
    literal_scores, literal_places = find_largest(literal, min(4 * depth, literal.shape[1]))
    dense_scores, dense_places = find_largest(dense, literal_scores.shape[1])
    gains = 1 / (61 + torch.arange(literal_scores.shape[1]))
    first, second = gains * (literal_scores > 0), gains * (dense_scores > 0)  # (texts, 4 depth)
    same = literal_places[:, :, None] == dense_places[:, None, :]  # (texts, 4 depth, 4 depth)
    first = first + (same * second[:, None]).sum(2)
    second = second.masked_fill(same.any(1), -1)  # the product is among the first already
    fused = torch.cat([first, second], 1).sort(dim=1, descending=True, stable=True)
    best = torch.cat([literal_places, dense_places], 1).gather(1, fused.indices[:, :depth])
    weights = (1 / (5 + np.arange(depth))).astype(np.float32) * (fused.values[:, :depth].numpy() > 0)
    return best.numpy(), weights
