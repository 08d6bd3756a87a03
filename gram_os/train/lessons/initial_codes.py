"""Initial codes from clicks (GRAM section 2): each side's own codes, and those of the other side of a click.

A query gets the values that its clicked products share and that products judged bad do not have, weighted by how rare
they are. It also gets the combinations of those values that are codes of the catalogue. A title gets the codes of the
queries that click it. Knows a mined catalogue, pairs and the queries' own values. Knows no text and no model.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeVar

import numpy as np
import scipy.sparse as sparse

from gram_os.errors import InputError
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.click_matrices import ClickMatrices, read_clicks
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.code_table import CodeTable
from gram_os.train.lessons.sparse_rows import best_of_rows, entries_matrix, ones_matrix, padded_columns, share_rows
from gram_os.train.lessons.targets import Target
from gram_os.train.lessons.value_combinations import count_together, list_combinations
from gram_os.train.mining.catalogue import MinedCatalogue

Name = TypeVar("Name", bound=Hashable)
_BLOCK = 512  # queries whose combinations are counted together: 0.3 million numbers each for 680 combinations
_MOST_OWN = 16  # own values of a query that are combined: nobody types more
_ROUNDING = 1e-9  # what a sum of shares may lose by rounding


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """How codes pass from one side of a click to the other.

    - transfer: False for an ablation in which each side keeps only the codes of its own values.
    - most_values, most_combinations: how many codes with one value, and with several values, a query gets.
    - least_support: the share of a query's clicks (by `Pair.weight`) whose products must have a combination.
    - bad_weight: a value's share among the products judged bad, times this, is subtracted from its share among the
      clicked products.
    - bad_relevance: a pair is judged bad when it is not positive and its relevance is below this.
    - own_weight: what a query's own codes count; a value that all clicked products have counts 1.
    - most_queries: how many queries, those with the surest clicks, a title gets codes from.
    - top_codes: codes of each of these queries. most_title_codes: codes of all of them together.
    - title_own: n queries move n / (n + title_own) of a title's mass to their codes. So each further query counts less,
      and the title never loses its own codes.
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
    """Targets of queries by text and of titles by the product's place; only of clicked texts that have codes."""

    queries: Mapping[str, Target]
    titles: Mapping[int, Target]


def transfer_codes(
    mined: MinedCatalogue, feedback: Feedback, query_columns: Mapping[str, Sequence[int]], settings: TransferSettings
) -> InitialCodes:
    """Make the codes of all queries with a positive pair, and of all titles in one.

    query_columns: the own values of each query, as columns of `mined.own`. Raises InputError for a product that is
    not in the catalogue, and for a query without an entry in `query_columns`.
    """
    clicks = read_clicks(mined, feedback, settings.bad_relevance)
    codes = CodeTable(mined)
    own = _own_values(codes, clicks.queries, query_columns)
    queries = _own_codes(codes, own, settings)
    if settings.transfer:
        product_values = codes.product_values()
        queries = settings.own_weight * queries
        queries = queries + codes.as_codes(_shared_values(codes, clicks, product_values, settings))
        queries = queries + _shared_combinations(codes, clicks, product_values, settings)
    queries = share_rows(sparse.csr_matrix(queries))
    titles = _title_codes(codes, clicks, own, queries, settings)
    return InitialCodes(_targets(queries, codes.codes, clicks.queries), _targets(titles, codes.codes, clicks.products))


def _own_values(
    codes: CodeTable, queries: Sequence[str], query_columns: Mapping[str, Sequence[int]]
) -> sparse.csr_matrix:
    """Return 1 where a query itself states a value of the dictionary: (queries, values)."""
    rows = []
    for query in queries:
        if query not in query_columns:
            raise InputError(f"query '{query}' has clicks but no own values; give its columns, or an empty list")
        known = (int(codes.mined.known[column]) for column in query_columns[query])
        rows.append(sorted({token for token in known if token >= 0}))
    return ones_matrix(rows, codes.values)


def _own_codes(codes: CodeTable, own: sparse.csr_matrix, settings: TransferSettings) -> sparse.csr_matrix:
    """Weigh queries' own values, and the rarest combinations of them that are codes, by mean idf: (queries, codes)."""
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
    codes: CodeTable, clicks: ClickMatrices, product_values: sparse.csr_matrix, settings: TransferSettings
) -> sparse.csr_matrix:
    """The clicked products' best values by (support - bad_weight x support among bad) x idf: (queries, values)."""
    support = clicks.good @ product_values - settings.bad_weight * (clicks.bad @ product_values)
    return best_of_rows(sparse.csr_matrix(support @ sparse.diags(codes.idf)), settings.most_values)


def _shared_combinations(
    codes: CodeTable, clicks: ClickMatrices, product_values: sparse.csr_matrix, settings: TransferSettings
) -> sparse.csr_matrix:
    """The best codes of several values that the clicked products of a query share: (queries, codes).

    Codes of two and three values are combinations of the query's best values. Finer codes come from the initial codes
    of the titles. A code's gain is computed like that of a value, with the mean idf.
    """
    best = _shared_values(codes, clicks, product_values, settings)
    blocks = [
        _combine_block(codes, clicks, product_values, best, slice(start, start + _BLOCK), settings)
        for start in range(0, len(clicks.queries), _BLOCK)
    ]
    if not blocks:
        return sparse.csr_matrix((0, len(codes.codes)))
    gains = sparse.vstack(blocks, format="csr") + _fine_codes(codes, clicks, settings)
    return best_of_rows(sparse.csr_matrix(gains), settings.most_combinations)


def _fine_codes(codes: CodeTable, clicks: ClickMatrices, settings: TransferSettings) -> sparse.csr_matrix:
    """Gains of the initial codes of more than three values that enough clicked products have: (queries, codes)."""
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
    clicks: ClickMatrices,
    product_values: sparse.csr_matrix,
    best: sparse.csr_matrix,
    part: slice,
    settings: TransferSettings,
) -> sparse.csr_matrix:
    """Gains of the combinations of two and three of some queries' best values: (queries of the part, codes)."""
    slots = padded_columns(
        best[part], settings.most_values
    )  # (queries, most_values) ascending tokens, -1 behind the last
    triples = list_combinations(settings.most_values)  # (combinations, 3) places in a row of slots
    good = count_together(clicks.good[part], product_values, slots, triples)
    bad = count_together(clicks.bad[part], product_values, slots, triples)
    gains = good - settings.bad_weight * bad  # (queries, combinations)
    rows, chosen = np.nonzero((good >= settings.least_support - _ROUNDING) & (gains > 0))
    tokens = np.where(triples[chosen] >= 0, slots[rows[:, None], triples[chosen]], -1)
    places = codes.find_places(tokens)
    is_code = places >= 0
    rows, chosen, tokens, places = rows[is_code], chosen[is_code], tokens[is_code], places[is_code]
    counted = tokens >= 0
    idf = (codes.idf[tokens] * counted).sum(1) / counted.sum(1)
    shape = slots.shape[0], len(codes.codes)
    return sparse.csr_matrix((gains[rows, chosen] * idf, (rows, places)), shape=shape)


def _title_codes(
    codes: CodeTable,
    clicks: ClickMatrices,
    own: sparse.csr_matrix,
    queries: sparse.csr_matrix,
    settings: TransferSettings,
) -> sparse.csr_matrix:
    """Codes of the clicked products' titles, as shares: (clicked products, codes).

    A query passes on its own values by rarity, and the best codes of its target; each makes half.
    """
    initial = share_rows(codes.initial[clicks.products])
    if not settings.transfer:
        return initial
    values = codes.as_codes(share_rows(sparse.csr_matrix(own @ sparse.diags(codes.idf))))
    passed_on = share_rows(values + share_rows(best_of_rows(queries, settings.top_codes)))
    clicking = best_of_rows(sparse.csr_matrix(clicks.weights.T)[clicks.products], settings.most_queries)
    count = np.diff(clicking.indptr)  # queries of each title
    received = share_rows(best_of_rows(sparse.csr_matrix(share_rows(clicking) @ passed_on), settings.most_title_codes))
    share = count / (count + settings.title_own)
    return share_rows(sparse.diags(share) @ received + sparse.diags(1 - share) @ initial)


def _targets(matrix: sparse.csr_matrix, codes: Sequence[Tokens], names: Sequence[Name]) -> dict[Name, Target]:
    """Turn rows of shares into targets by name, codes ascending; rows without shares are left out."""
    found = {}
    for name, (start, end) in zip(names, pairwise(matrix.indptr), strict=True):
        shares = zip(matrix.indices[start:end].tolist(), matrix.data[start:end].tolist(), strict=True)
        weights = sorted((codes[at], share) for at, share in shares if share > 0)
        if weights:
            found[name] = Target(tuple(code for code, _ in weights), tuple(share for _, share in weights))
    return found
