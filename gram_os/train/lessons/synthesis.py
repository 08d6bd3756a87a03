"""Synthetic queries out of a catalogue's own values: what shoppers might type, head and long tail.

`query_maker.py` draws the queries. How often each text counts follows a Zipf law, so a few head queries are frequent.
Knows texts, not models.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from gram_os.arrays import IntArray
from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.own_values import field_texts
from gram_os.text.tagger import Span
from gram_os.train.lessons.query_maker import KIND_SHARES, DrawnQuery, Kind, QueryMaker
from gram_os.train.lessons.typing_edits import EDIT_RATES, TypingEdit
from gram_os.train.mining.broader import Surfaces


@dataclass(frozen=True, slots=True)
class SyntheticQuery:
    """A query and the product that it describes, to train on in place of a click.

    product: its place in the catalogue. count: how often this text is typed and means this product. edits: the typing
    edits that changed the text.
    """

    text: str
    product: int
    kind: Kind
    count: int
    edits: tuple[TypingEdit, ...] = ()


def product_surfaces(
    product: Product, spans: Sequence[Span], attributes: Mapping[str, AttributeType]
) -> dict[AttributeType, list[str]]:
    """Return what can fill a template for a product: its tagged spans and its field values of one to three words."""
    found: dict[AttributeType, list[str]] = defaultdict(list)
    for span in spans:
        found[span.type].append(span.text)
    for text, kind in field_texts(product, attributes):
        if 1 <= len(text.split()) <= 3:
            found[kind].append(text.strip())
    return dict(found)


def synthesise(
    products: Sequence[Product],
    surfaces: Sequence[Surfaces],
    *,
    count: int,
    seed: int = 0,
    texts: Sequence[str] = (),
    exponent: float = 0.8,
    shift: float = 2.7,
    shares: Mapping[Kind, float] = KIND_SHARES,
    edits: Mapping[TypingEdit, float] = EDIT_RATES,
) -> list[SyntheticQuery]:
    """Draw `count` queries and return the distinct ones with their counts, the most frequent text first.

    exponent, shift: of the Zipf-Mandelbrot law (`zipf_counts`) of the counts; a text's rank is by how often it was
    drawn. texts, shares, edits: see `QueryMaker`. Equal seeds give equal queries. Raises InputError when no title
    holds a word.
    """
    maker = QueryMaker(products, surfaces, texts, shares, edits)
    drawn = list(islice(maker.draw(random.Random(seed)), count))  # noqa: S311
    return _count_queries(drawn, exponent, shift)


def zipf_counts(texts: int, exponent: float, shift: float) -> IntArray:
    """Return the count of each rank, the last is 1: ((texts + shift) / (rank + shift)) ** exponent, rounded.

    >>> zipf_counts(4, 1.0, 0.0).tolist()
    [4, 2, 1, 1]
    """
    ranks = np.arange(1, texts + 1)
    return np.asarray(np.rint(((texts + shift) / (ranks + shift)) ** exponent), np.int64)


def value_queries(values: Iterable[str]) -> list[str]:
    """Return every known value of more than one character as a query of its own."""
    return [value for value in values if len(value) > 1]


def _count_queries(drawn: Sequence[DrawnQuery], exponent: float, shift: float) -> list[SyntheticQuery]:
    """Count the distinct queries: a text gets the count of its rank, and its products share it as often as drawn."""
    rows: dict[str, dict[int, DrawnQuery]] = defaultdict(dict)
    times: Counter[tuple[str, int]] = Counter()
    for query in drawn:
        rows[query.text].setdefault(query.product, query)
        times[query.text, query.product] += 1
    popular = sorted(rows, key=lambda text: -sum(times[text, product] for product in rows[text]))
    found = []
    for text, total in zip(popular, zipf_counts(len(popular), exponent, shift).tolist(), strict=True):
        products = sorted(rows[text], key=lambda product: -times[text, product])[:total]
        shares = _divide(total, [times[text, product] for product in products])
        for product, n in zip(products, shares, strict=True):
            query = rows[text][product]
            found.append(SyntheticQuery(text, product, query.kind, n, query.edits))
    return found


def _divide(total: int, weights: Sequence[int]) -> list[int]:
    """Divide `total` into whole shares by weight, each at least 1; `total` must be at least their number.

    >>> _divide(10, [3, 1]), _divide(2, [5, 1])
    ([7, 3], [1, 1])
    """
    rest, weight = total - len(weights), sum(weights)
    bounds = np.rint(np.cumsum([0, *weights]) * rest / weight).astype(int)
    return [1 + int(n) for n in np.diff(bounds)]
