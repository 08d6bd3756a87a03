"""The codes of a catalogue by number: the codes of many texts are then the rows of a sparse matrix."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import IntArray
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.sparse_rows import ones_matrix
from gram_os.train.mining.catalogue import MinedCatalogue


class CodeTable:
    """Numbers the catalogue's codes by their place in `mined.codes`, and its values by their token in the dictionary.

    A value's column in `mined.own` is another number.
    """

    def __init__(self, mined: MinedCatalogue):
        self.mined = mined
        self.codes = mined.codes
        self.values = len(mined.dictionary.values)
        self.place = {code: at for at, code in enumerate(mined.codes)}
        self.idf = np.zeros(self.values)
        columns = np.flatnonzero(mined.known >= 0)
        self.idf[mined.known[columns]] = mined.idf[columns]

    def product_values(self) -> sparse.csr_matrix:
        """Return 1 where a product has a value: float (products, values)."""
        columns = np.flatnonzero(self.mined.known >= 0)
        ones = np.ones(len(columns))
        shape = len(self.mined.columns), self.values
        chooser = sparse.csr_matrix((ones, (columns, self.mined.known[columns])), shape=shape)
        return sparse.csr_matrix(self.mined.own.astype(np.float64) @ chooser)

    def as_codes(self, values: sparse.csr_matrix) -> sparse.csr_matrix:
        """Move the numbers of values to the codes of that one value: (texts, values) -> (texts, codes)."""
        singles = np.array([self.place[(token,)] for token in range(self.values)], dtype=np.int64)
        shape = values.shape[0], len(self.codes)
        return sparse.csr_matrix((values.data, singles[values.indices], values.indptr), shape=shape)

    def mean_idf(self, code: Tokens) -> float:
        """Return the mean idf of a code's values."""
        return float(self.idf[list(code)].mean())

    @cached_property
    def initial(self) -> sparse.csr_matrix:
        """1 where a code is an initial code of the product: float (products, codes)."""
        places = [[self.place[code] for code in row] for row in self.mined.initial]
        return ones_matrix(places, len(self.codes))

    @cached_property
    def fine(self) -> IntArray:
        """Places of the codes of more than three values."""
        return np.array([at for at, code in enumerate(self.codes) if len(code) > 3], dtype=np.int64)

    @cached_property
    def _short(self) -> tuple[IntArray, IntArray]:
        """The codes of two and three values: their keys, ascending, and their places."""
        short = [(at, code) for at, code in enumerate(self.codes) if 2 <= len(code) <= 3]
        tokens = np.array([(*code, -1)[:3] for _, code in short], dtype=np.int64).reshape(-1, 3)
        keys = self._keys(tokens)
        order = np.argsort(keys)
        return keys[order], np.array([at for at, _ in short], dtype=np.int64)[order]

    def _keys(self, tokens: IntArray) -> IntArray:
        """Turn ascending tokens, (codes, 3), into one number a code; the third token is -1 in codes of two."""
        size = self.values + 1
        return ((tokens[:, 0] + 1) * size + tokens[:, 1] + 1) * size + tokens[:, 2] + 1

    def find_places(self, tokens: IntArray) -> IntArray:
        """Find the places of codes of two or three ascending tokens, (codes, 3); -1 for what is no code."""
        keys, places = self._short
        if not len(keys):
            return np.full(len(tokens), -1)
        wanted = self._keys(tokens)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, places[at], -1)
