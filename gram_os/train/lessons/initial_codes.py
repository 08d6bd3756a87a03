"""Initial codes from clicks (GRAM section 2): each side's own codes, and those that it takes over through the click.

A query gets the values that its clicked products share and those judged bad do not, weighted by how rare they are, and
the combinations of them that are codes of the catalogue; a title gets the codes of the queries that click it. Knows a mined
catalogue, pairs and a query's own values; knows no text and no model.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeVar

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import DoubleArray, IntArray
from gram_os.errors import InputError
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.lessons.code_table import CodeTable
from gram_os.train.lessons.sparse_rows import (
    best_of_rows,
    entries_matrix,
    ones_matrix,
    padded_columns,
    share_rows,
)
from gram_os.train.lessons.targets import Target
from gram_os.train.mining.catalogue import Mined

Name = TypeVar("Name", bound=Hashable)
_BLOCK = 512  # queries whose combinations are counted together: 0.3 million numbers each for 680 combinations
_MOST_OWN = 16  # own values of a query that are combined: nobody types more
_ROUNDING = 1e-9  # what sums of shares may lose


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """How codes pass through clicks.

    transfer: off, each side keeps the codes of its own values alone (an ablation).
    most_values, most_combinations: codes of a query of one value, and of more. least_support: share of a query's clicks
    (by `Pair.weight`) whose products must hold a combination. bad_weight: what a value's share among the products judged
    bad takes off its share among the clicked ones; bad is a relevance below bad_relevance that is not positive.
    own_weight: what a query's own codes count, where 1 is a value that all clicked products hold.
    most_queries: queries that a title learns from, those with the surest clicks; top_codes: codes of each of them;
    most_title_codes: of those together. title_own: n queries move n / (n + title_own) of a title's mass to their codes,
    so that each further one counts less and its own codes never go.
    """

    transfer: bool = True
    most_values: int = 16
    most_combinations: int = 8
    least_support: float = 0.5
    bad_weight: float = 0.3
    bad_relevance: float = 0.5
    own_weight: float = 0.5
    most_queries: int = 20
    top_codes: int = 8
    most_title_codes: int = 24
    title_own: float = 2.0


@dataclass(frozen=True, slots=True)
class InitialCodes:
    """Codes of queries by text and of titles by the product's place; only of those that clicks link and that have any."""

    queries: Mapping[str, Target]
    titles: Mapping[int, Target]


def transfer_codes(
    mined: Mined,
    feedback: Feedback,
    query_columns: Mapping[str, Sequence[int]],
    settings: TransferSettings | None = None,
) -> InitialCodes:
    """Codes of all queries with a positive pair and of all titles in one.

    query_columns: each query's own values, as columns of `mined.own`. Raises InputError for a product that is not in the
    catalogue and for a query without columns.
    """
    chosen = settings or TransferSettings()
    clicks = _read_clicks(mined, feedback, chosen)
    codes = CodeTable(mined)
    own = _own_values(codes, clicks.queries, query_columns)
    queries = _own_codes(codes, own, chosen)
    if chosen.transfer:
        held = codes.held_values()
        queries = chosen.own_weight * queries
        queries = queries + codes.as_codes(_shared_values(codes, clicks, held, chosen))
        queries = queries + _shared_combinations(codes, clicks, held, chosen)
    queries = share_rows(sparse.csr_matrix(queries))
    titles = _title_codes(codes, clicks, own, queries, chosen)
    return InitialCodes(_targets(queries, codes.codes, clicks.queries), _targets(titles, codes.codes, clicks.products))


@dataclass(frozen=True, slots=True)
class _Clicks:
    """Queries with a positive pair, products in one, and their pairs as matrices (queries, all products).

    weights: of positive pairs, 0 elsewhere; good, bad: rows that add up to 1 (or 0) over positive pairs, over bad ones.
    """

    queries: Sequence[str]
    products: Sequence[int]
    weights: sparse.csr_matrix
    good: sparse.csr_matrix
    bad: sparse.csr_matrix


def _read_clicks(mined: Mined, feedback: Feedback, settings: TransferSettings) -> _Clicks:
    places = {product.id: at for at, product in enumerate(mined.products)}
    queries = [query for query in feedback.by_query if feedback.positives(query)]
    good: list[tuple[int, int, float]] = []
    bad: list[tuple[int, int, float]] = []
    for row, query in enumerate(queries):
        for pair in feedback.by_query[query]:
            if pair.product not in places:
                raise InputError(
                    f"product '{pair.product}' of query '{query}' is not in the catalogue; "
                    "drop such pairs first (Feedback.restrict)"
                )
            if pair.positive:
                good.append((row, places[pair.product], pair.weight))
            elif _is_bad(pair, settings):
                bad.append((row, places[pair.product], pair.weight))
    shape = len(queries), len(mined.products)
    weights = entries_matrix(good, shape)
    return _Clicks(
        queries,
        np.unique(weights.indices).tolist(),
        weights,
        share_rows(weights),
        share_rows(entries_matrix(bad, shape)),
    )


def _is_bad(pair: Pair, settings: TransferSettings) -> bool:
    return not pair.positive and pair.relevance < settings.bad_relevance


def _own_values(
    codes: CodeTable, queries: Sequence[str], query_columns: Mapping[str, Sequence[int]]
) -> sparse.csr_matrix:
    """1 where a query holds a known value: (queries, values)."""
    rows = []
    for query in queries:
        if query not in query_columns:
            raise InputError(f"query '{query}' has clicks but no own values; give its columns, or an empty list")
        known = (int(codes.mined.known[column]) for column in query_columns[query])
        rows.append(sorted({token for token in known if token >= 0}))
    return ones_matrix(rows, codes.values)


def _own_codes(codes: CodeTable, own: sparse.csr_matrix, settings: TransferSettings) -> sparse.csr_matrix:
    """The queries' own values and the rarest combinations of them that are codes, by (mean) idf: (queries, codes)."""
    found: list[tuple[int, int, float]] = []
    for row, (start, end) in enumerate(pairwise(own.indptr)):
        tokens = own.indices[start:end].tolist()[:_MOST_OWN]
        for size in (2, 3):
            for code in combinations(tokens, size):
                place = codes.place.get(code)
                if place is not None:
                    found.append((row, place, codes.mean_idf(code)))
    combined = entries_matrix(found, (own.shape[0], len(codes.codes)))
    values = sparse.csr_matrix(own @ sparse.diags(codes.idf))
    return codes.as_codes(values) + best_of_rows(combined, settings.most_combinations)


def _shared_values(
    codes: CodeTable, clicks: _Clicks, held: sparse.csr_matrix, settings: TransferSettings
) -> sparse.csr_matrix:
    """The best values of the clicked products, by (support - bad_weight x support among bad) x idf: (queries, values)."""
    support = clicks.good @ held - settings.bad_weight * (clicks.bad @ held)
    return best_of_rows(sparse.csr_matrix(support @ sparse.diags(codes.idf)), settings.most_values)


def _shared_combinations(
    codes: CodeTable, clicks: _Clicks, held: sparse.csr_matrix, settings: TransferSettings
) -> sparse.csr_matrix:
    """The best codes of several values that a query's clicks share: (queries, codes).

    Those of two and three values are made of the query's best values; finer ones are taken over from the titles' initial
    codes. The gain is that of a value, with the mean idf.
    """
    best = _shared_values(codes, clicks, held, settings)
    blocks = [
        _combine_block(codes, clicks, held, best, slice(start, start + _BLOCK), settings)
        for start in range(0, len(clicks.queries), _BLOCK)
    ]
    if not blocks:
        return sparse.csr_matrix((0, len(codes.codes)))
    gains = sparse.vstack(blocks, format="csr") + _fine_codes(codes, clicks, settings)
    return best_of_rows(sparse.csr_matrix(gains), settings.most_combinations)


def _fine_codes(codes: CodeTable, clicks: _Clicks, settings: TransferSettings) -> sparse.csr_matrix:
    """Initial codes of more than three values that enough clicked products have: gains (queries, codes)."""
    fine, shape = codes.fine, (len(clicks.queries), len(codes.codes))
    if not len(fine):
        return sparse.csr_matrix(shape)
    initial = codes.initial[:, fine]
    good = sparse.csr_matrix(clicks.good @ initial)
    net = good - settings.bad_weight * (clicks.bad @ initial)
    idf = np.array([codes.mean_idf(codes.codes[at]) for at in fine])
    gains = sparse.csr_matrix(net.multiply(good >= settings.least_support - _ROUNDING) @ sparse.diags(idf))
    return sparse.csr_matrix((gains.data, fine[gains.indices], gains.indptr), shape=shape)


def _combine_block(
    codes: CodeTable,
    clicks: _Clicks,
    held: sparse.csr_matrix,
    best: sparse.csr_matrix,
    part: slice,
    settings: TransferSettings,
) -> sparse.csr_matrix:
    """Gains of the combinations of two and three of some queries' best values: (queries of the part, codes)."""
    slots = padded_columns(
        best[part], settings.most_values
    )  # (queries, most_values) ascending tokens, -1 behind the last
    triples = _choices(settings.most_values)  # (combinations, 3) places in a row of slots, the third -1 for a pair
    good = _count_together(clicks.good[part], held, slots, triples)
    bad = _count_together(clicks.bad[part], held, slots, triples)
    gains = good - settings.bad_weight * bad  # (queries, combinations)
    rows, chosen = np.nonzero((good >= settings.least_support - _ROUNDING) & (gains > 0))
    tokens = np.where(triples[chosen] >= 0, slots[rows[:, None], triples[chosen]], -1)
    places = codes.places_of(tokens)
    alive = places >= 0
    rows, chosen, tokens, places = rows[alive], chosen[alive], tokens[alive], places[alive]
    counted = tokens >= 0
    idf = (codes.idf[tokens] * counted).sum(1) / counted.sum(1)
    shape = slots.shape[0], len(codes.codes)
    return sparse.csr_matrix((gains[rows, chosen] * idf, (rows, places)), shape=shape)


def _count_together(
    weights: sparse.csr_matrix, held: sparse.csr_matrix, slots: IntArray, triples: IntArray
) -> DoubleArray:
    """The weight of each query's products that hold all values of a combination: (queries, combinations)."""
    count, wide = slots.shape
    slot = np.full((count, held.shape[1]), -1, np.int16)
    rows, at = np.nonzero(slots >= 0)
    slot[rows, slots[rows, at]] = at
    query = np.repeat(np.arange(count), np.diff(weights.indptr))  # (entries,) whose product it is
    products = held[weights.indices]  # (entries, values)
    entry = np.repeat(np.arange(len(query)), np.diff(products.indptr))
    found = slot[query[entry], products.indices]
    holds = np.zeros((len(query), wide + 1), bool)
    holds[:, wide] = True  # what -1, the missing third, refers to
    holds[entry[found >= 0], found[found >= 0]] = True
    together = holds[:, triples[:, 0]] & holds[:, triples[:, 1]] & holds[:, triples[:, 2]]
    by_query = sparse.csr_matrix((weights.data, np.arange(len(query)), weights.indptr), shape=(count, len(query)))
    return np.asarray(by_query @ together.astype(np.float64))


def _title_codes(
    codes: CodeTable,
    clicks: _Clicks,
    own: sparse.csr_matrix,
    queries: sparse.csr_matrix,
    settings: TransferSettings,
) -> sparse.csr_matrix:
    """Codes of the clicked products' titles, shares: (clicked products, codes).

    What a query hands on is, half and half, its own values by rarity and the best codes of its target.
    """
    initial = share_rows(codes.initial[clicks.products])
    if not settings.transfer:
        return initial
    values = codes.as_codes(share_rows(sparse.csr_matrix(own @ sparse.diags(codes.idf))))
    handed = share_rows(values + share_rows(best_of_rows(queries, settings.top_codes)))
    clicking = best_of_rows(sparse.csr_matrix(clicks.weights.T)[clicks.products], settings.most_queries)
    count = np.diff(clicking.indptr)  # queries of each title
    taken = share_rows(best_of_rows(sparse.csr_matrix(share_rows(clicking) @ handed), settings.most_title_codes))
    share = count / (count + settings.title_own)
    return share_rows(sparse.diags(share) @ taken + sparse.diags(1 - share) @ initial)


def _choices(wide: int) -> IntArray:
    """All ascending choices of two and of three out of `wide` places: (choices, 3), -1 as the third of two."""
    pairs = [(*pair, -1) for pair in combinations(range(wide), 2)]
    return np.array([*pairs, *combinations(range(wide), 3)], dtype=np.int64).reshape(-1, 3)


def _targets(matrix: sparse.csr_matrix, codes: Sequence[Tokens], names: Sequence[Name]) -> dict[Name, Target]:
    """Rows of shares as targets by name, codes ascending; rows without any are left out."""
    found = {}
    for name, (start, end) in zip(names, pairwise(matrix.indptr), strict=True):
        shares = zip(matrix.indices[start:end].tolist(), matrix.data[start:end].tolist(), strict=True)
        weights = sorted((codes[at], share) for at, share in shares if share > 0)
        if weights:
            found[name] = Target(tuple(code for code, _ in weights), tuple(share for _, share in weights))
    return found
