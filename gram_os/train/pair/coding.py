"""Codes of many texts in memory: training ranks a catalogue by them, as the index does in serving.

A text's codes are single attribute values: its own (in the dictionary or not) and those that the model generates.
Columns number the values, those of the dictionary first, so the column of a known value is its token. Knows the
parameters of the pair score (`PairWeights`). Knows neither how values are found in texts nor the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import BoolArray, FloatArray, Int8Array, IntArray
from gram_os.model.pair_weights import GENERATED, OWN, UNKNOWN, PairWeights, SideWeights, is_number, is_phrase
from gram_os.train.lessons.sparse_rows import best_places, dense_rows

_PARTS = ("bounds", "columns", "kinds", "log_ratios")


@dataclass(frozen=True)
class Columns:
    """Which columns are numbers and which are phrases (see `pair_weights`): bool (columns,) each."""

    numbers: BoolArray
    phrases: BoolArray

    @classmethod
    def of(cls, values: Iterable[str]) -> Columns:
        """Make the columns of values, in their order."""
        traits = [(is_number(value), is_phrase(value)) for value in values]
        return cls(*np.array(traits, np.bool_).reshape(-1, 2).T)

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class CodedTexts:
    """The codes of many texts, one after the other: those of text i are at `bounds[i]` to `bounds[i + 1]`.

    columns: int64, ascending within a text. kinds: int8, `OWN`, `GENERATED` or `UNKNOWN` (an own value that the model
    does not know). log_ratios: float32, ln(P / P*) of each code, where P* is the largest P of its text; 0 for unknown
    values.
    """

    bounds: IntArray
    columns: IntArray
    kinds: Int8Array
    log_ratios: FloatArray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def save(self, path: Path) -> None:
        """Write the codes to a file."""
        np.savez_compressed(path, **{part: getattr(self, part) for part in _PARTS})

    @classmethod
    def load(cls, path: Path) -> CodedTexts:
        """Read what `save` wrote."""
        with np.load(path) as parts:
            return cls(*(parts[part] for part in _PARTS))

    def of(self, text: int) -> slice:
        """Return the places of a text's codes."""
        return slice(int(self.bounds[text]), int(self.bounds[text + 1]))

    def weigh(self, side: SideWeights, columns: Columns) -> sparse.csr_matrix:
        """Return the codes' weights on their side: float32 (texts, columns)."""
        weights = self.weights(side, columns, self.code_lengths())
        return sparse.csr_matrix((weights, self.columns, self.bounds), shape=(len(self), len(columns)))

    def weights(self, side: SideWeights, columns: Columns, lengths: FloatArray) -> FloatArray:
        """Return the codes' weights one after the other: float32 (codes,); lengths: what `code_lengths` returns."""
        weights = side.weigh_kinds(
            self.kinds,
            self.log_ratios,
            numbers=columns.numbers[self.columns],
            phrases=columns.phrases[self.columns],
            lengths=lengths,
        )
        return weights.astype(np.float32, copy=False)

    def code_lengths(self) -> FloatArray:
        """Return for each code how many own values its text has, at least 1: float32 (codes,)."""
        return np.repeat(self.lengths(), np.diff(self.bounds))

    def lengths(self) -> FloatArray:
        """Return how many own values each text has, at least 1: float32 (texts,)."""
        own = np.concatenate(([0], np.cumsum(self.kinds != GENERATED)))
        counts: FloatArray = np.maximum(own[self.bounds[1:]] - own[self.bounds[:-1]], 1).astype(np.float32)
        return counts

    def frequencies(self, columns: int) -> IntArray:
        """Count the texts with each column; columns: how many there are."""
        return np.bincount(self.columns, minlength=columns)


def combine_codes(
    own: Sequence[IntArray],
    own_log_probs: Sequence[FloatArray],
    generated: IntArray,
    generated_log_probs: FloatArray,
    known: int,
) -> CodedTexts:
    """Join own and generated values.

    own: the columns of each text. known: columns below it are values of the dictionary. own_log_probs: natural
    logarithms for the own columns below `known`, in their order; NaN for a value that the model cannot write, which
    makes it unknown too. generated: int64 (texts, width), columns, the likeliest first. generated_log_probs: their
    natural logarithms. A generated value that the text itself states is an own value.
    """
    rows: list[tuple[IntArray, Int8Array, FloatArray]] = []
    for columns, log_probs, tokens, scores in zip(own, own_log_probs, generated, generated_log_probs, strict=True):
        new = ~np.isin(tokens, columns)
        merged = np.concatenate([columns, tokens[new]])
        kinds = np.full(len(merged), GENERATED, np.int8)
        kinds[: len(columns)] = np.where(columns < known, OWN, UNKNOWN)
        ratios = np.zeros(len(merged), np.float32)
        ratios[: len(columns)][columns < known] = log_probs
        ratios[len(columns) :] = scores[new]
        unwritable = np.isnan(ratios)
        kinds[unwritable], ratios[unwritable] = UNKNOWN, 0
        scored = kinds != UNKNOWN
        if scored.any():
            ratios[scored] -= ratios[scored].max()
        order = np.argsort(merged, kind="stable")
        rows.append((merged[order], kinds[order], ratios[order]))
    bounds = np.concatenate(([0], np.cumsum([len(row[0]) for row in rows])))
    if not rows:
        return CodedTexts(bounds, np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.float32))
    columns, kinds, ratios = (np.concatenate(part) for part in zip(*rows, strict=True))
    return CodedTexts(bounds.astype(np.int64), columns, kinds, ratios)


def idf(frequencies: IntArray, texts: int) -> FloatArray:
    """Return ln(1 + (N - n + 0.5) / (n + 0.5)), as serving computes it; 0 where no text has the column."""
    found = np.log1p((texts - frequencies + 0.5) / (frequencies + 0.5))
    return np.where(frequencies > 0, found, 0.0).astype(np.float32)


def rank_products(
    queries: CodedTexts, titles: CodedTexts, weights: PairWeights, columns: Columns, *, depth: int
) -> list[IntArray]:
    """Return the best `depth` products of each query by the pair score, best first, equal scores by place."""
    return [best_places(row, depth) for row in score_products(queries, titles, weights, columns)]


def score_products(
    queries: CodedTexts, titles: CodedTexts, weights: PairWeights, columns: Columns
) -> Iterator[FloatArray]:
    """Yield for each query its pair scores with all products: float32 (products,)."""
    rarity = idf(titles.frequencies(len(columns)), len(titles)) ** weights.idf_exponent
    query_weights = queries.weigh(weights.query, columns) @ sparse.diags(rarity * (rarity > 0))
    return dense_rows(query_weights, titles.weigh(weights.title, columns).T.tocsr())
