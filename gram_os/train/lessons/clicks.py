"""What shoppers or raters said of query-product pairs, as training takes it: `Pair`s, whatever they were read from.

Knows how counted clicks become a relevance without the position's share in them, and what a scale of grades means. Reads
no file (`catalogue` does) and no cluster (`ingest.ubi` does), and knows no codes.
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

# A position's click rate counts the whole log's rate as so many impressions of its own: deep positions are rarely seen.
_POSITION_PRIOR = 100.0
# A pair counts as so many clicks more, both seen and expected: what was hardly ever shown stays near "as expected".
_PAIR_PRIOR = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One query and one product.

    query: text as typed, one spelling for all that differ in case, spaces and accents only; product: its id.
    relevance: 0..1, 1 surely relevant. Judgments: (grade - lowest) / (highest - lowest). Clicks: x / (1 + x), where x is
    how many times oftener it was clicked than expected, so that .5 is "as expected"; see `feedback_from_clicks`.
    positive: counts as a click (judged relevant, or clicked often enough).
    weight: how sure that is: 1 for a judgment; for clicks log2(1 + n), n the clicks, or those expected where these are more.
    """

    query: str
    product: str
    relevance: float
    positive: bool
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ClickLimits:
    """From where on a clicked product is a positive one; all three must hold.

    least_clicks: clicks on the pair. least_share: its share of all clicks of the query; below it clicks are noise.
    least_lift: clicks over expected clicks, asked only where the log holds impressions.
    """

    least_clicks: float = 1.0
    least_share: float = 0.02
    least_lift: float = 0.5


@dataclass(frozen=True)
class Feedback:
    """Pairs in the order of their queries' first appearance (no slots: the view by query is cached on the instance)."""

    pairs: tuple[Pair, ...]

    @cached_property
    def by_query(self) -> Mapping[str, tuple[Pair, ...]]:
        """The pairs of each query text."""
        grouped: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            grouped.setdefault(pair.query, []).append(pair)
        return {query: tuple(pairs) for query, pairs in grouped.items()}

    def positives(self, query: str) -> tuple[Pair, ...]:
        """The pairs of a query that count as clicks; empty for a query that is not there."""
        return tuple(pair for pair in self.by_query.get(query, ()) if pair.positive)

    def split(self, share: float, seed: int = 0) -> tuple[Feedback, Feedback]:
        """Split by query into the larger part and a held-out one of about `share` of the queries.

        A query's side follows from a hash of its normalised words and the seed alone: neither the order nor the other
        queries matter, and queries that differ in word order, plural or case only are never on both sides.
        """
        if not 0 < share < 1:
            raise InputError(f"a held-out share of {share} leaves one part empty; give one between 0 and 1")
        normaliser = Normaliser()
        held = {query for query in self.by_query if _draw(query, seed, normaliser) < share}
        return (
            Feedback(tuple(pair for pair in self.pairs if pair.query not in held)),
            Feedback(tuple(pair for pair in self.pairs if pair.query in held)),
        )

    def restrict(self, products: Container[str]) -> tuple[Feedback, int]:
        """Return the pairs whose product is known, and how many others were dropped; InputError when that is all of them."""
        kept = tuple(pair for pair in self.pairs if pair.product in products)
        if self.pairs and not kept:
            raise InputError(
                f"none of the {len(self.pairs)} query-product pairs is about a product of the catalogue (for example "
                f"product '{self.pairs[0].product}'); both must use the same product ids"
            )
        return Feedback(kept), len(self.pairs) - len(kept)


def _draw(query: str, seed: int, normaliser: Normaliser) -> float:
    """A number in [0, 1) that is the same for every spelling of a query."""
    words = " ".join(sorted(normaliser.values(query))) or fold(query)
    digest = hashlib.sha256(f"{seed}\t{words}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def feedback_from_judgments(
    queries: Iterable[Query], judgments: Iterable[Judgment], relevant: float | None = None
) -> Feedback:
    """Pairs out of judgments; the scale's ends are the lowest and the highest grade that occur.

    `relevant` is the grade from which a product counts as clicked; only a scale of at most two grades says that by itself.
    Where all judgments are one positive grade (only relevant products were written down) the lowest is 0. Judgments of
    queries that are not among `queries` are left out. The same product judged for two queries of the same text: the mean.
    """
    texts = {query.id: query.text for query in queries}
    spelling: dict[str, str] = {}
    grades: dict[tuple[str, str], list[float]] = defaultdict(list)
    strangers = 0
    for judgment in judgments:
        if judgment.query_id not in texts:
            strangers += 1
            continue
        text = texts[judgment.query_id]
        query = spelling.setdefault(fold(text), text)
        grades[query, judgment.product_id].append(judgment.relevance)
    if not grades:
        raise InputError(
            f"none of the {strangers} judgments is about one of the {len(texts)} queries; both files must use the same query ids"
        )
    if strangers:
        log.warning("%d judgments of queries that are not in the queries file are left out", strangers)
    levels = sorted({grade for found in grades.values() for grade in found})
    lowest = 0.0 if len(levels) == 1 and levels[0] > 0 else levels[0]
    threshold = _relevant_grade(levels, lowest, relevant)
    width = (levels[-1] - lowest) or 1.0
    means = {key: sum(found) / len(found) for key, found in grades.items()}
    return _ordered(Pair(*key, (grade - lowest) / width, grade >= threshold) for key, grade in means.items())


def _relevant_grade(levels: Sequence[float], lowest: float, relevant: float | None) -> float:
    if relevant is None and len(levels) > 2:
        raise InputError(
            f"the judgments hold {len(levels)} grades from {levels[0]:g} to {levels[-1]:g}: say from which one a product "
            f"counts as relevant, for example --relevant {levels[-2]:g}"
        )
    threshold = levels[-1] if relevant is None else relevant
    if not lowest < threshold <= levels[-1]:
        raise InputError(
            f"relevant from {threshold:g} makes all products alike; give a grade above {lowest:g} and up to {levels[-1]:g}"
        )
    return threshold


@dataclass(slots=True)
class _Counts:
    clicks: float = 0.0
    impressions: float = 0.0


def feedback_from_clicks(clicks: Iterable[Click], limits: ClickLimits | None = None) -> Feedback:
    """Pairs out of counted clicks; rows of the same query, product and position are added up.

    With impressions: COEC, clicks over expected clicks (Zhang and Jones, WWW 2007). What is expected of a pair is the sum
    over its rows of impressions x the click rate of that row's position, so that a product shown at several positions is
    held against all of them and not against its best one alone. The positions' rates come from the log itself, each
    smoothed towards the log's own; rows without a position share one rate.
    Known weakness: what stands at the top is also the more relevant, and COEC books all of it to the position, so it is
    hard on good products that always stand there. That is why the default `least_lift` is as low as .5.

    Without impressions nothing says what was seen: expected of a pair is then the noise alone, `least_share` of the query's
    clicks. Either way x = (clicks + 1) / (expected + 1), and relevance x / (1 + x).
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
    made = []
    for (query, product), got in clicked.items():
        noise = chosen.least_share * totals[query]
        due = expected[query, product] if shown else noise
        lift = (got + _PAIR_PRIOR) / (due + _PAIR_PRIOR)
        often = got > 0 and got >= max(chosen.least_clicks, noise)
        sure = math.log2(1 + max(got, due if shown else 0.0))
        if sure > 0:  # neither clicked nor shown: the row says nothing
            positive = often and (not shown or lift >= chosen.least_lift)
            made.append(Pair(spellings[query], product, lift / (1 + lift), positive, sure))
    if not made:
        raise InputError("the clicks hold no clicked product; a clicks file counts at least one click")
    return _ordered(made)


_Rows = Mapping[tuple[str, str, float | None], _Counts]


def _add_up(clicks: Iterable[Click]) -> tuple[_Rows, Mapping[str, str], bool]:
    """Rows by folded query, product and position; each folded query's commonest spelling; whether there are impressions."""
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
    """Clicks an impression at each position: (C_k + prior x C / N) / (N_k + prior)."""
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


def _ordered(pairs: Iterable[Pair]) -> Feedback:
    """Pairs with those of one query together."""
    whole = Feedback(tuple(pairs))
    return Feedback(tuple(pair for found in whole.by_query.values() for pair in found))
