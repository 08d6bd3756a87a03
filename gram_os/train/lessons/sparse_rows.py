"""Rows of sparse matrices: best entries, shares, columns as a dense table. Knows numbers only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import FloatArray, IntArray

_CHUNK = 128  # rows that are in memory at once
_DECIMALS = 9  # numbers that agree in these decimals are equal for `best_of_rows`


def best_of_rows(matrix: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """Keep only the `most` largest positive numbers of each row; of equal numbers the lower columns stay."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -np.round(matrix.data, _DECIMALS), rows))
    rank = np.arange(len(order)) - matrix.indptr[rows[order]]
    kept = order[(rank < most) & (matrix.data[order] > 0)]
    return sparse.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape)


def share_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Scale each row so that it adds up to 1; a row of zeros stays."""
    sums = np.asarray(matrix.sum(1)).ravel()
    return sparse.csr_matrix(sparse.diags(np.divide(1, sums, out=np.zeros(len(sums)), where=sums > 0)) @ matrix)


def entries_matrix(entries: Sequence[tuple[int, int, float]], shape: tuple[int, int]) -> sparse.csr_matrix:
    """Make a matrix of (row, column, number) entries; numbers of the same place are added up."""
    rows, columns, numbers = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_matrix((np.array(numbers, float), (np.array(rows, int), np.array(columns, int))), shape=shape)


def ones_matrix(rows: Sequence[Sequence[int]], width: int) -> sparse.csr_matrix:
    """Make a matrix with 1 at the columns of each row: float (rows, width)."""
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64)))
    indices = np.fromiter((column for row in rows for column in row), np.int64, count=int(indptr[-1]))
    return sparse.csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(rows), width))


def padded_columns(matrix: sparse.csr_matrix, wide: int) -> IntArray:
    """Return the columns of each row, ascending, with -1 behind the last: (rows, wide)."""
    ordered = matrix.sorted_indices()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(ordered.indptr))
    padded = np.full((matrix.shape[0], wide), -1, np.int64)
    padded[rows, np.arange(len(rows)) - ordered.indptr[rows]] = ordered.indices
    return padded


def dense_rows(left: sparse.csr_matrix, right: sparse.csr_matrix) -> Iterator[FloatArray]:
    """Yield the rows of `left @ right` as dense arrays; only some of them are in memory at once."""
    for start in range(0, left.shape[0], _CHUNK):
        yield from (left[start : start + _CHUNK] @ right).toarray()


def best_places(scores: FloatArray, depth: int) -> IntArray:
    """Return the places of the `depth` highest scores above 0, best first; equal scores by place."""
    positive = min(depth, int(np.count_nonzero(scores > 0)))
    if not positive:
        return np.empty(0, np.int64)
    places = np.argpartition(-scores, positive - 1)[:positive]
    return places[np.lexsort((places, -scores[places]))].astype(np.int64)
