"""Feedback on query-product pairs, out of judgments or out of counted clicks, in one form (`Pair`).

Knows how counted clicks become a relevance that the product's position does not distort, and what a scale of grades
means. Reads no file (`catalogue` does) and no cluster (`ingest.ubi` does). Knows no codes.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gram_os.catalogue import Click, Judgment, Query
from gram_os.errors import InputError
from gram_os.text.normalise import Normaliser, fold

log = logging.getLogger(__name__)

# Impressions at the click rate of the whole log that each position's rate is smoothed with: deep positions are rarely
# seen.
_POSITION_PRIOR = 100.0
# Clicks that are added to the counted and to the expected ones: a pair with few impressions stays near "as expected".
_PAIR_PRIOR = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """The feedback on one query and one product.

    query: the text as typed; spellings that differ only in case, spaces and accents share one. product: its id.
    relevance: 0..1, 1 is surely relevant. For judgments it is (grade - lowest) / (highest - lowest). For clicks it is
    x / (1 + x), where x is clicks over expected clicks (see `feedback_from_clicks`), so .5 means "as expected".
    positive: the pair counts as a click: judged relevant, or clicked often enough. weight: how sure the feedback is:
    1 for a judgment; for clicks log2(1 + n), n the larger of clicks and expected clicks.
    """

    query: str
    product: str
    relevance: float
    positive: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ClickLimits:
    """Limits that a clicked pair must all reach to be positive.

    least_clicks: clicks on the pair. least_share: its share of all clicks of the query; clicks below it are noise.
    least_lift: clicks over expected clicks; it is checked only where the log holds impressions.
    """

    least_clicks: float = 1.0
    least_share: float = 0.02
    least_lift: float = 0.5


@dataclass(frozen=True)
class Feedback:
    """All pairs, query by query (no slots: the instance caches its view by query)."""

    pairs: tuple[Pair, ...]

    @cached_property
    def by_query(self) -> Mapping[str, tuple[Pair, ...]]:
        """The pairs of each query text, in the order in which queries first appear."""
        grouped: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            grouped.setdefault(pair.query, []).append(pair)
        return {query: tuple(pairs) for query, pairs in grouped.items()}

    def positives(self, query: str) -> tuple[Pair, ...]:
        """Return the pairs of a query that count as clicks; none for an unknown query."""
        return tuple(pair for pair in self.by_query.get(query, ()) if pair.positive)

    def split(self, share: float, seed: int = 0) -> tuple[Feedback, Feedback]:
        """Split by query into the larger part and a held-out part with about `share` of the queries.

        A hash of the query's normalised words and of the seed decides. So neither the order nor the other queries
        matter, and queries that differ only in word order, plural or case are never in both parts. Raises InputError
        for a share outside 0..1.
        """
        if not 0 < share < 1:
            raise InputError(f"a held-out share of {share} leaves one part empty; give one between 0 and 1")
        normaliser = Normaliser()
        held_out = {query for query in self.by_query if _draw(query, seed, normaliser) < share}
        return (
            Feedback(tuple(pair for pair in self.pairs if pair.query not in held_out)),
            Feedback(tuple(pair for pair in self.pairs if pair.query in held_out)),
        )

    def restrict(self, products: Container[str]) -> tuple[Feedback, int]:
        """Keep the pairs whose product is in `products`; return them and the number of dropped pairs.

        Raises InputError when no pair is left.
        """
        kept = tuple(pair for pair in self.pairs if pair.product in products)
        if self.pairs and not kept:
            raise InputError(
                f"none of the {len(self.pairs)} query-product pairs is about a product of the catalogue (for example "
                f"product '{self.pairs[0].product}'); both must use the same product ids"
            )
        return Feedback(kept), len(self.pairs) - len(kept)


def _draw(query: str, seed: int, normaliser: Normaliser) -> float:
    """Return a number in [0, 1) that is the same for every spelling of a query."""
    words = " ".join(sorted(normaliser.values(query))) or fold(query)
    digest = hashlib.sha256(f"{seed}\t{words}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def feedback_from_judgments(
    queries: Iterable[Query], judgments: Iterable[Judgment], relevant: float | None = None
) -> Feedback:
    """Turn judgments into pairs; the lowest and the highest grade that occur are the ends of the scale.

    relevant: the grade from which a product counts as clicked; a scale of at most two grades needs none. Where all
    judgments have the same positive grade, only relevant products were judged, and the lowest grade is 0. Judgments
    of queries that are not among `queries` are left out. A product that is judged for two queries of the same text
    gets the mean grade. Raises InputError where no judgment is left, and where `relevant` is missing or separates
    nothing.
    """
    texts = {query.id: query.text for query in queries}
    spelling: dict[str, str] = {}
    grades: dict[tuple[str, str], list[float]] = defaultdict(list)
    unknown = 0
    for judgment in judgments:
        if judgment.query_id not in texts:
            unknown += 1
            continue
        text = texts[judgment.query_id]
        query = spelling.setdefault(fold(text), text)
        grades[query, judgment.product_id].append(judgment.relevance)
    if not grades:
        raise InputError(
            f"none of the {unknown} judgments is about one of the {len(texts)} queries; "
            "both files must use the same query ids"
        )
    if unknown:
        log.warning("%d judgments of queries that are not in the queries file are left out", unknown)
    levels = sorted({grade for found in grades.values() for grade in found})
    lowest = 0.0 if len(levels) == 1 and levels[0] > 0 else levels[0]
    threshold = _relevant_grade(levels, lowest, relevant)
    width = (levels[-1] - lowest) or 1.0
    means = {key: sum(found) / len(found) for key, found in grades.items()}
    return _group(Pair(*key, (grade - lowest) / width, grade >= threshold) for key, grade in means.items())


def _relevant_grade(levels: Sequence[float], lowest: float, relevant: float | None) -> float:
    if relevant is None and len(levels) > 2:
        raise InputError(
            f"the judgments hold {len(levels)} grades from {levels[0]:g} to {levels[-1]:g}: say from which one a "
            f"product counts as relevant, for example --relevant {levels[-2]:g}"
        )
    threshold = levels[-1] if relevant is None else relevant
    if not lowest < threshold <= levels[-1]:
        raise InputError(
            f"relevant from {threshold:g} makes all products alike; "
            f"give a grade above {lowest:g} and up to {levels[-1]:g}"
        )
    return threshold


@dataclass(slots=True)
class _Counts:
    clicks: float = 0.0
    impressions: float = 0.0


def feedback_from_clicks(clicks: Iterable[Click], limits: ClickLimits | None = None) -> Feedback:
    """Turn counted clicks into pairs; rows of the same query, product and position are added up.

    With impressions: COEC, clicks over expected clicks (Zhang and Jones, WWW 2007). The expected clicks of a pair are
    the sum over its rows of impressions x the click rate of the row's position. So a product that was shown at
    several positions is compared with all of them and not only with its best one. The rates of the positions come
    from the log, each smoothed towards the rate of the whole log. Rows without a position share one rate. Known
    weakness: products at the top are also the more relevant ones, but COEC explains all their clicks by the position.
    It underrates good products that are always at the top, so the default `least_lift` is only .5.

    Without impressions nobody knows what was seen. The expected clicks of a pair are then the noise alone:
    `least_share` of the query's clicks. In both cases x = (clicks + 1) / (expected + 1), and the relevance is x / (1
    + x). Raises InputError where no product was clicked, and where only some rows have impressions.
    """
    chosen = limits or ClickLimits()
    rows, spellings, shown = _add_up(clicks)
    rates = _position_rates(rows) if shown else {}
    totals: dict[str, float] = defaultdict(float)
    clicked: dict[tuple[str, str], float] = defaultdict(float)
    expected: dict[tuple[str, str], float] = defaultdict(float)
    for (query, product, position), count in rows.items():
        totals[query] += count.clicks
        clicked[query, product] += count.clicks
        expected[query, product] += count.impressions * rates.get(position, 0.0)
    pairs = []
    for (query, product), counted in clicked.items():
        noise = chosen.least_share * totals[query]
        due = expected[query, product] if shown else noise
        lift = (counted + _PAIR_PRIOR) / (due + _PAIR_PRIOR)
        often = counted > 0 and counted >= max(chosen.least_clicks, noise)
        weight = math.log2(1 + max(counted, due if shown else 0.0))
        if weight > 0:  # a pair that was neither clicked nor shown says nothing
            positive = often and (not shown or lift >= chosen.least_lift)
            pairs.append(Pair(spellings[query], product, lift / (1 + lift), positive, weight))
    if not pairs:
        raise InputError("the clicks hold no clicked product; a clicks file counts at least one click")
    return _group(pairs)


_Rows = Mapping[tuple[str, str, float | None], _Counts]


def _add_up(clicks: Iterable[Click]) -> tuple[_Rows, Mapping[str, str], bool]:
    """Add up clicks by folded query, product and position.

    Returns the sums, the commonest spelling of each folded query, and whether there are impressions.
    """
    rows: dict[tuple[str, str, float | None], _Counts] = defaultdict(_Counts)
    typed: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    shown: bool | None = None
    for click in clicks:
        if shown is not None and shown != (click.impressions is not None):
            raise InputError(
                f"query '{click.query}', product '{click.product_id}': some rows state impressions and some do not; "
                "write them in every row (0 where there were none) or in none"
            )
        shown = click.impressions is not None
        query = fold(click.query)
        typed[query][click.query] += click.clicks
        count = rows[query, click.product_id, click.position]
        count.clicks += click.clicks
        count.impressions += click.impressions or 0.0
    best = {query: min(counts, key=lambda text: (-counts[text], text)) for query, counts in typed.items()}
    return rows, best, bool(shown)


def _position_rates(rows: _Rows) -> dict[float | None, float]:
    """Clicks an impression at each position k: (C_k + prior x C / N) / (N_k + prior); C clicks, N impressions."""
    places: dict[float | None, _Counts] = defaultdict(_Counts)
    for (_, _, position), count in rows.items():
        places[position].clicks += count.clicks
        places[position].impressions += count.impressions
    clicks = sum(place.clicks for place in places.values())
    whole = clicks / max(1.0, sum(place.impressions for place in places.values()))
    return {
        position: (place.clicks + _POSITION_PRIOR * whole) / (place.impressions + _POSITION_PRIOR)
        for position, place in places.items()
    }


def _group(pairs: Iterable[Pair]) -> Feedback:
    """Put the pairs of each query together."""
    whole = Feedback(tuple(pairs))
    return Feedback(tuple(pair for found in whole.by_query.values() for pair in found))
