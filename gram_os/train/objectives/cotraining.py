"""Co-training (GRAM section 4): which newly generated codes a relevance model lets into the training set of both sides.

The title side has coded the whole catalogue, and the query side has generated codes of its own. A code is kept for a
query when the products with that code are relevant for the query. `code_report.measure_drift` measures what that does
to the two sides. Knows codes, clicks and a function that scores. Knows no model and no product's text.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gram_os.arrays import DoubleArray, FloatArray, IntArray
from gram_os.errors import InputError
from gram_os.text.dictionary import Tokens
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.targets import Target

Name = TypeVar("Name", bound=Hashable)
#: The relevance model: queries and equally many products (places in the catalogue) -> relevance of each pair, 0..1.
Score = Callable[[Sequence[str], Sequence[int]], FloatArray]


@dataclass(frozen=True, slots=True)
class CotrainingSettings:
    """How new codes are checked.

    sampled: how many of the products with a code are scored. least_relevance: the mean of their scores must reach it,
    and a product's own score must reach it for the product to get the code. most_taken: how many codes of its clicked
    products a query tries as well, of those that it does not have itself. most_scored: limit of all scored
    query-product pairs, drawn fairly over the queries; a pair costs 6 ms on two cores.
    """

    sampled: int = 2
    least_relevance: float = 0.5
    most_taken: int = 10
    most_scored: int = 40_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class NewTargets:
    """The new codes of both sides: targets by query text and by the product's place; shares follow the scores.

    The other fields are counts over all queries, and keys in the stage's report. candidates: proposed codes. unheld:
    those of them that no product has. kept: those that are kept. scored: pairs that the relevance model read.
    """

    queries: Mapping[str, Target]
    titles: Mapping[int, Target]
    candidates: int
    unheld: int
    kept: int
    scored: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A code that may be new for a query, and the products with that code that are scored."""

    query: str
    code: Tokens
    products: tuple[int, ...]


def select_new_codes(
    query_codes: Mapping[str, Sequence[Tokens]],
    title_codes: Sequence[Sequence[Tokens]],
    product_ids: Sequence[str],
    feedback: Feedback,
    score: Score,
    settings: CotrainingSettings,
) -> NewTargets:
    """Filter the codes of all queries that a click links to a product.

    query_codes: 10 generated codes a query, the best first. title_codes: all codes of each product, own and
    generated, in the order of `product_ids`. A code that no product has is dropped, because it can never match.
    Raises InputError for a clicked product that is not among `product_ids`.
    """
    wanted = _collect_codes(query_codes, title_codes, product_ids, feedback)
    catalogue = _CodedProducts(title_codes, product_ids, wanted)
    candidates: list[list[_Candidate]] = []  # of each query
    proposed_count = unheld = 0
    for query, generated in query_codes.items():
        clicked = [catalogue.place(pair.product, query) for pair in feedback.positives(query)]
        if not clicked:
            continue
        codes = list(dict.fromkeys(generated))
        missing = _missing_codes(codes, clicked, title_codes, catalogue, settings.most_taken)
        proposed = _interleave(codes, missing)
        usable = [code for code in proposed if catalogue.count(code)]
        proposed_count += len(proposed)
        unheld += len(proposed) - len(usable)
        candidates.append(catalogue.choose_products(query, codes, usable, settings))
    pairs = _draw_pairs(candidates, settings)
    queries, products = [query for query, _ in pairs], [product for _, product in pairs]
    scores = dict(zip(pairs, score(queries, products).tolist(), strict=True)) if pairs else {}
    kept = _keep_relevant((candidate for row in candidates for candidate in row), scores, settings.least_relevance)
    return NewTargets(
        _make_targets(kept.queries), _make_targets(kept.titles), proposed_count, unheld, kept.count, len(scores)
    )


def _collect_codes(
    query_codes: Mapping[str, Sequence[Tokens]],
    title_codes: Sequence[Sequence[Tokens]],
    product_ids: Sequence[str],
    feedback: Feedback,
) -> set[Tokens]:
    """Return all codes that may be tried; no other code has to be looked up in the catalogue."""
    clicked = {pair.product for query in query_codes for pair in feedback.positives(query)}
    found = {code for codes in query_codes.values() for code in codes}
    for product, codes in zip(product_ids, title_codes, strict=True):
        if product in clicked:
            found.update(codes)
    return found


class _CodedProducts:
    """Knows which products have a code, of the codes in `wanted`."""

    def __init__(self, title_codes: Sequence[Sequence[Tokens]], product_ids: Sequence[str], wanted: set[Tokens]):
        found: dict[Tokens, list[int]] = {}
        for place, codes in enumerate(title_codes):
            for code in wanted.intersection(codes):
                found.setdefault(code, []).append(place)
        self._products = {code: np.array(places) for code, places in found.items()}
        self._places = {product: place for place, product in enumerate(product_ids)}
        self._overlap = np.zeros(len(product_ids))  # codes shared with the query at hand; 0 between queries

    def place(self, product: str, query: str) -> int:
        """Return the place of a clicked product. Raises InputError for a product without codes."""
        if product not in self._places:
            raise InputError(
                f"product '{product}', clicked for query '{query}', has no codes; code the whole catalogue, "
                "or drop such pairs first (Feedback.restrict)"
            )
        return self._places[product]

    def count(self, code: Tokens) -> int:
        """Return how many products have a code."""
        return len(self._products.get(code, ()))

    def choose_products(
        self, query: str, codes: Sequence[Tokens], usable: Sequence[Tokens], settings: CotrainingSettings
    ) -> list[_Candidate]:
        """Choose for each usable code the products that share most of the query's `codes`; equal products by lot."""
        touched = [self._products[code] for code in codes if code in self._products]
        for products in touched:
            self._overlap[products] += 1
        turn = random.Random(f"{settings.seed}:{query}").random()  # noqa: S311
        found = []
        for code in usable:
            products = self._products[code]
            # The lot of a product is in [0, 1), so it counts less than one shared code. It differs from query to query.
            lots = (products * 0.6180339887498949 + turn) % 1
            best = _largest(products, self._overlap[products] + lots, settings.sampled)
            found.append(_Candidate(query, code, best))
        for products in touched:
            self._overlap[products] = 0
        return found


def _largest(places: IntArray, numbers: DoubleArray, most: int) -> tuple[int, ...]:
    """Return the places of the `most` largest numbers, the largest first."""
    if len(places) > 4 * most:  # thousands of products have a common value, and to sort them all takes most of the time
        part = np.argpartition(-numbers, most)[:most]
        places, numbers = places[part], numbers[part]
    return tuple(places[np.argsort(-numbers, kind="stable")][:most].tolist())


def _missing_codes(
    codes: Sequence[Tokens],
    clicked: Sequence[int],
    title_codes: Sequence[Sequence[Tokens]],
    catalogue: _CodedProducts,
    most: int,
) -> list[Tokens]:
    """Return codes of the clicked products that the query does not have: the most clicked first, then the rarest."""
    query_codes = set(codes)
    counts = Counter(code for place in clicked for code in set(title_codes[place]) if code not in query_codes)
    return sorted(counts, key=lambda code: (-counts[code], catalogue.count(code), code))[:most]


def _interleave(first: Sequence[Tokens], second: Sequence[Tokens]) -> list[Tokens]:
    """Take codes from both in turn, so that a small limit of pairs reaches both."""
    ranked = [(at, 0, code) for at, code in enumerate(first)] + [(at, 1, code) for at, code in enumerate(second)]
    return [code for _, _, code in sorted(ranked)]


def _draw_pairs(candidates: Sequence[Sequence[_Candidate]], settings: CotrainingSettings) -> list[tuple[str, int]]:
    """Draw distinct query-product pairs, at most `most_scored`, divided fairly among the queries (`_divide_fairly`)."""
    wanted = [_list_pairs(row, settings.sampled) for row in candidates]
    allowed = _divide_fairly([len(row) for row in wanted], settings.most_scored, settings.seed)
    return [pair for row, count in zip(wanted, allowed, strict=True) for pair in row[:count]]


def _list_pairs(candidates: Sequence[_Candidate], sampled: int) -> list[tuple[str, int]]:
    """List the pairs of one query: the first product of every code, then the second of every code, and so on."""
    return list(
        dict.fromkeys(
            (candidate.query, candidate.products[turn])
            for turn in range(sampled)
            for candidate in candidates
            if turn < len(candidate.products)
        )
    )


def _divide_fairly(sizes: Sequence[int], most: int, seed: int) -> list[int]:
    """Give each its size where `most` allows it, else one equal number to all larger ones; the rest goes by lot."""
    left, level = most, 0
    for rank, size in enumerate(sorted(sizes)):
        others = len(sizes) - rank
        if (size - level) * others > left:
            level += left // others
            left %= others
            break
        left -= (size - level) * others
        level = size
    more = [at for at, size in enumerate(sizes) if size > level]
    lucky = set(random.Random(seed).sample(more, min(left, len(more))))  # noqa: S311
    return [min(size, level) + (at in lucky) for at, size in enumerate(sizes)]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The weights of the kept codes by query and by product; count: kept codes over all queries."""

    queries: Mapping[str, Mapping[Tokens, float]]
    titles: Mapping[int, Mapping[Tokens, float]]
    count: int


def _keep_relevant(
    candidates: Iterable[_Candidate], scores: Mapping[tuple[str, int], float], least_relevance: float
) -> _Kept:
    """Keep codes whose scored products are relevant on average: for the query, and for each relevant product."""
    queries: dict[str, dict[Tokens, float]] = {}
    titles: dict[int, dict[Tokens, float]] = {}
    count = 0
    for candidate in candidates:
        query, code = candidate.query, candidate.code
        found = [(place, scores[query, place]) for place in candidate.products if (query, place) in scores]
        relevance = sum(value for _, value in found) / max(1, len(found))
        if not found or relevance < least_relevance:
            continue
        count += 1
        queries.setdefault(query, {})[code] = relevance
        for place, value in found:
            if value >= least_relevance:
                weights = titles.setdefault(place, {})
                weights[code] = weights.get(code, 0.0) + value
    return _Kept(queries, titles, count)


def _make_targets(weights: Mapping[Name, Mapping[Tokens, float]]) -> dict[Name, Target]:
    """Turn weights into targets; codes without weight are left out."""
    targets = {}
    for name, found in weights.items():
        total = sum(found.values())
        codes = tuple(sorted(code for code, weight in found.items() if weight > 0))
        targets[name] = Target(codes, tuple(found[code] / total for code in codes))
    return targets
