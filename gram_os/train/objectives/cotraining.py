"""Co-training (GRAM section 4): which newly generated codes a relevance model lets into the training set of both sides.

The title side has coded the whole catalogue and the query side has generated codes of its own; a code stays where the
products that hold it are relevant for the query. `code_report.measure_drift` says what that does to the two sides. Knows
codes, clicks and a function that scores; knows no model and no text of a product.
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
#: The relevance model: queries and as many products (their places in the catalogue) -> relevance, 0..1.
Score = Callable[[Sequence[str], Sequence[int]], FloatArray]


@dataclass(frozen=True, slots=True)
class CotrainingSettings:
    """What is asked of a new code.

    sampled: products that hold it and are scored. least_relevance: what their mean must reach, and each of them to be
    taught the code itself. most_taken: codes of a query's clicked products that it lacks and that are tried as well.
    most_scored: query-product pairs in all, drawn fairly over the queries; one costs 6 ms on two cores.
    """

    sampled: int = 2
    least_relevance: float = 0.5
    most_taken: int = 10
    most_scored: int = 40_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class NewLessons:
    """What both sides learn anew, by query text and by the product's place; shares follow the scores.

    candidates, unheld, kept: codes over all queries that were proposed, of these that no product holds, and that stay.
    scored: pairs that the relevance model read.
    """

    queries: Mapping[str, Target]
    titles: Mapping[int, Target]
    candidates: int
    unheld: int
    kept: int
    scored: int


@dataclass(frozen=True, slots=True)
class _Trial:
    """A query's code, and the products that stand for it."""

    query: str
    code: Tokens
    products: tuple[int, ...]


def select_new_codes(
    query_codes: Mapping[str, Sequence[Tokens]],
    title_codes: Sequence[Sequence[Tokens]],
    product_ids: Sequence[str],
    feedback: Feedback,
    score: Score,
    settings: CotrainingSettings | None = None,
) -> NewLessons:
    """Filter the codes of all queries that a click links to a product.

    query_codes: 10 generated codes a query, the best first; title_codes: all codes of each product, own and generated, in
    the order of `product_ids`. A code that no product holds is dropped, since it never meets one. Raises InputError for a
    clicked product that is not among `product_ids`.
    """
    chosen = settings or CotrainingSettings()
    catalogue = _Holders(title_codes, product_ids, _wanted(query_codes, title_codes, product_ids, feedback))
    trials: list[list[_Trial]] = []
    candidates = unheld = 0
    for query, generated in query_codes.items():
        clicked = [catalogue.place(pair.product, query) for pair in feedback.positives(query)]
        if not clicked:
            continue
        codes = list(dict.fromkeys(generated))
        proposed = _interleaved(codes, _lacking(codes, clicked, title_codes, catalogue, chosen.most_taken))
        held = [code for code in proposed if catalogue.count(code)]
        candidates += len(proposed)
        unheld += len(proposed) - len(held)
        trials.append(catalogue.choose(query, codes, held, chosen))
    pairs = _draw_pairs(trials, chosen)
    queries, products = [query for query, _ in pairs], [product for _, product in pairs]
    scores = dict(zip(pairs, score(queries, products).tolist(), strict=True)) if pairs else {}
    return _collect((trial for row in trials for trial in row), scores, chosen, candidates=candidates, unheld=unheld)


def _wanted(
    query_codes: Mapping[str, Sequence[Tokens]],
    title_codes: Sequence[Sequence[Tokens]],
    product_ids: Sequence[str],
    feedback: Feedback,
) -> set[Tokens]:
    """Codes that may be tried: all others need not be looked up."""
    clicked = {pair.product for query in query_codes for pair in feedback.positives(query)}
    found = {code for codes in query_codes.values() for code in codes}
    for product, codes in zip(product_ids, title_codes, strict=True):
        if product in clicked:
            found.update(codes)
    return found


class _Holders:
    """Which products hold a code."""

    def __init__(self, title_codes: Sequence[Sequence[Tokens]], product_ids: Sequence[str], wanted: set[Tokens]):
        found: dict[Tokens, list[int]] = {}
        for place, codes in enumerate(title_codes):
            for code in wanted.intersection(codes):
                found.setdefault(code, []).append(place)
        self._holders = {code: np.array(places) for code, places in found.items()}
        self._places = {product: place for place, product in enumerate(product_ids)}
        self._overlap = np.zeros(len(product_ids))  # kept at 0 between two queries

    def place(self, product: str, query: str) -> int:
        """The place of a clicked product."""
        if product not in self._places:
            raise InputError(
                f"product '{product}', clicked for query '{query}', has no codes; code the whole catalogue, "
                "or drop such pairs first (Feedback.restrict)"
            )
        return self._places[product]

    def count(self, code: Tokens) -> int:
        """How many products hold a code."""
        return len(self._holders.get(code, ()))

    def choose(
        self, query: str, codes: Sequence[Tokens], held: Sequence[Tokens], settings: CotrainingSettings
    ) -> list[_Trial]:
        """For each held code the products that hold it and share most with the query's `codes`; of equals by lot."""
        touched = [self._holders[code] for code in codes if code in self._holders]
        for holders in touched:
            self._overlap[holders] += 1
        turn = random.Random(f"{settings.seed}:{query}").random()  # noqa: S311
        found = []
        for code in held:
            holders = self._holders[code]
            # A lot of each product in [0, 1) that differs from query to query, smaller than one shared code.
            lots = (holders * 0.6180339887498949 + turn) % 1
            found.append(_Trial(query, code, _largest(holders, self._overlap[holders] + lots, settings.sampled)))
        for holders in touched:
            self._overlap[holders] = 0
        return found


def _largest(places: IntArray, numbers: DoubleArray, most: int) -> tuple[int, ...]:
    """The places of the `most` largest numbers, the largest first."""
    if len(places) > 4 * most:  # a common value has thousands of holders: sorting them all would take most of the time
        part = np.argpartition(-numbers, most)[:most]
        places, numbers = places[part], numbers[part]
    return tuple(places[np.argsort(-numbers, kind="stable")][:most].tolist())


def _lacking(
    codes: Sequence[Tokens],
    clicked: Sequence[int],
    title_codes: Sequence[Sequence[Tokens]],
    catalogue: _Holders,
    most: int,
) -> list[Tokens]:
    """Codes of the clicked products that the query lacks: those of most clicked products first, then the rarest."""
    ours = set(codes)
    counts = Counter(code for place in clicked for code in set(title_codes[place]) if code not in ours)
    return sorted(counts, key=lambda code: (-counts[code], catalogue.count(code), code))[:most]


def _interleaved(first: Sequence[Tokens], second: Sequence[Tokens]) -> list[Tokens]:
    """Alternately from both, so that a small allowance of pairs reaches both."""
    ranked = [(at, 0, code) for at, code in enumerate(first)] + [(at, 1, code) for at, code in enumerate(second)]
    return [code for _, _, code in sorted(ranked)]


def _draw_pairs(trials: Sequence[Sequence[_Trial]], settings: CotrainingSettings) -> list[tuple[str, int]]:
    """Different query-product pairs, at most `most_scored`: as many of each query as of any other that has as many.

    Within a query the first product of every code comes before the second of any.
    """
    wanted = [_pairs_of(row, settings.sampled) for row in trials]
    allowed = _fair_shares([len(row) for row in wanted], settings.most_scored, settings.seed)
    return [pair for row, count in zip(wanted, allowed, strict=True) for pair in row[:count]]


def _pairs_of(trials: Sequence[_Trial], sampled: int) -> list[tuple[str, int]]:
    return list(
        dict.fromkeys(
            (trial.query, trial.products[turn])
            for turn in range(sampled)
            for trial in trials
            if turn < len(trial.products)
        )
    )


def _fair_shares(sizes: Sequence[int], most: int, seed: int) -> list[int]:
    """Give each its size where the sum allows, else the same to all that have more; what is left goes by lot."""
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


def _collect(
    trials: Iterable[_Trial],
    scores: Mapping[tuple[str, int], float],
    settings: CotrainingSettings,
    *,
    candidates: int,
    unheld: int,
) -> NewLessons:
    """Codes whose scored holders are relevant on average, for the query and for those of them that are."""
    queries: dict[str, dict[Tokens, float]] = {}
    titles: dict[int, dict[Tokens, float]] = {}
    kept = 0
    for trial in trials:
        found = [(p, scores[trial.query, p]) for p in trial.products if (trial.query, p) in scores]
        relevance = sum(value for _, value in found) / max(1, len(found))
        if not found or relevance < settings.least_relevance:
            continue
        kept += 1
        queries.setdefault(trial.query, {})[trial.code] = relevance
        for place, value in found:
            if value >= settings.least_relevance:
                lesson = titles.setdefault(place, {})
                lesson[trial.code] = lesson.get(trial.code, 0.0) + value
    return NewLessons(_targets(queries), _targets(titles), candidates, unheld, kept, len(scores))


def _targets(weights: Mapping[Name, Mapping[Tokens, float]]) -> dict[Name, Target]:
    return {name: _target(found) for name, found in weights.items()}


def _target(weights: Mapping[Tokens, float]) -> Target:
    """Weights as shares, codes ascending; none where there is no weight."""
    total = sum(weights.values())
    codes = tuple(sorted(code for code, weight in weights.items() if weight > 0))
    return Target(codes, tuple(weights[code] / total for code in codes))


def _blended(old: Target, new: Target, share: float) -> Target:
    if not old.codes or not new.codes:
        return new if new.codes else old
    weights: dict[Tokens, float] = dict.fromkeys((*old.codes, *new.codes), 0.0)
    for target, part in ((old, 1 - share), (new, share)):
        for code, mass in zip(target.codes, target.shares, strict=True):
            weights[code] += part * mass
    return _target(weights)
