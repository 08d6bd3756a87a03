"""Synthetic queries out of a catalogue's own values: what shoppers might type, head and long tail.

A query says a product in one of four ways (`Kind`): by a *template*, the sequence of attribute types of a real query
(QueryNER's label sequences with their counts) filled with the product's typed values; by such values made broader; by
what its title does not say; by a few words of its title. Then it is worn as typed text is (`wear.py`), and how often
each is asked follows a Zipf law, so heads are frequent. Knows texts, not models.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from itertools import islice
from types import MappingProxyType
from typing import Final

import numpy as np

from gram_os.arrays import IntArray
from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.text.attribute import AttributeType
from gram_os.text.normalise import STOPWORDS
from gram_os.text.own_values import field_texts
from gram_os.text.tagger import Span
from gram_os.train.lessons.wear import RATES, Wear, Worn, wear_words
from gram_os.train.mining.broader import Generaliser, ProductKnowledge, Surfaces, Value

Template = tuple[AttributeType, ...]


class Kind(StrEnum):
    """How a query says its product."""

    TEMPLATE = "template"
    BROADER = "broader"
    KNOWLEDGE = "knowledge"
    TITLE = "title"


#: How often each kind is tried; where a product has nothing for it, a template is filled, else its title is quoted.
SHARES: Final[Mapping[Kind, float]] = MappingProxyType(
    {Kind.TEMPLATE: 0.35, Kind.BROADER: 0.15, Kind.KNOWLEDGE: 0.2, Kind.TITLE: 0.3}
)
# What a shopper says between a product type and what it is to be: "table made of oak".
_LINKS: Final[Mapping[AttributeType, str]] = MappingProxyType(
    {
        AttributeType.MATERIAL: "made of",
        AttributeType.AUDIENCE: "for",
        AttributeType.SCENARIO: "for",
        AttributeType.FUNCTION: "with",
        AttributeType.BRAND: "by",
        AttributeType.COLOUR: "in",
    }
)


@dataclass(frozen=True, slots=True)
class SyntheticQuery:
    """A query with the product that it was made of, to learn from in place of a click.

    product: its place in the catalogue; count: how often this text was asked and this product meant; wears: what typing
    did to it.
    """

    text: str
    product: int
    kind: Kind
    count: int
    wears: tuple[Wear, ...] = ()


def read_templates() -> dict[Template, int]:
    """The type sequences of QueryNER's training queries with their counts (labels MIT, see NOTICE)."""
    text = resources.files("gram_os.train.lessons").joinpath("query_templates.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return {tuple(AttributeType(name) for name in types.split()): int(count) for count, types in rows}


def product_surfaces(
    product: Product, spans: Sequence[Span], attributes: Mapping[str, AttributeType]
) -> dict[AttributeType, list[str]]:
    """What a product offers to fill templates with: its tagged spans and short field values."""
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
    shares: Mapping[Kind, float] = SHARES,
    wears: Mapping[Wear, float] = RATES,
) -> list[SyntheticQuery]:
    """Make `count` queries, and say of the distinct ones how often each is asked; the most asked text first.

    texts: further text fields of products, where knowledge that the title lacks is looked for; exponent and shift: of the
    Zipf-Mandelbrot law (`zipf_counts`) that the counts of the texts follow, by their rank among the queries made; shares
    and wears: how often each kind and each wear is tried. Equal seeds give equal queries. Raises InputError when no title
    holds a word.
    """
    maker = _Maker(products, surfaces, texts, shares, wears)
    made = list(islice(maker.draw(random.Random(seed)), count))  # noqa: S311
    return _weigh(made, exponent, shift)


def synthesise_queries(
    products: Sequence[Product], surfaces: Sequence[Surfaces], *, count: int, seed: int = 0
) -> list[str]:
    """The texts of `count` queries as they are made, in random order, without their products; see `synthesise`."""
    maker = _Maker(products, surfaces, (), SHARES, RATES)
    return [query.text for query in islice(maker.draw(random.Random(seed)), count)]  # noqa: S311


def zipf_counts(texts: int, exponent: float, shift: float) -> IntArray:
    """How often the text of each rank is asked, the last one once: ((texts + shift) / (rank + shift)) ** exponent.

    >>> zipf_counts(4, 1.0, 0.0).tolist()
    [4, 2, 1, 1]
    """
    ranks = np.arange(1, texts + 1)
    return np.asarray(np.rint(((texts + shift) / (ranks + shift)) ** exponent), np.int64)


def value_queries(values: Iterable[str]) -> list[str]:
    """Every known value as a query of its own."""
    return [value for value in values if len(value) > 1]


class _Maker:
    """Draws queries of products."""

    def __init__(
        self,
        products: Sequence[Product],
        surfaces: Sequence[Surfaces],
        texts: Sequence[str],
        shares: Mapping[Kind, float],
        wears: Mapping[Wear, float],
    ):
        self._products, self._surfaces = products, surfaces
        self._kinds, self._shares, self._wears = list(shares), list(shares.values()), wears
        self._generaliser = Generaliser(surfaces)
        self._knowledge = ProductKnowledge(surfaces, texts=texts)
        self._templates = read_templates()
        self._fitting: dict[frozenset[AttributeType], tuple[list[Template], list[int]]] = {}
        self._absent: dict[int, list[Value]] = {}

    def draw(self, rng: random.Random) -> Iterator[SyntheticQuery]:
        """Queries without end, each asked once."""
        usable = [at for at, product in enumerate(self._products) if _title_words(product.title)]
        if not usable:
            raise InputError(
                f"none of the {len(self._products)} titles holds a word to make queries of; check --title-field"
            )
        while True:
            at = rng.choice(usable)
            kind, words = self._say(at, rng.choices(self._kinds, self._shares)[0], rng)
            worn: Worn = wear_words(words, rng, self._wears)
            if worn.text:
                yield SyntheticQuery(worn.text, at, kind, 1, worn.wears)

    def _say(self, at: int, kind: Kind, rng: random.Random) -> tuple[Kind, list[str]]:
        """The words of a query of one product, and the kind that it became."""
        surfaces = self._surfaces[at]
        if kind is Kind.KNOWLEDGE:
            if at not in self._absent:
                self._absent[at] = self._knowledge.find_absent(self._products[at], surfaces)
            if self._absent[at]:
                return kind, self._tell(at, self._absent[at], rng)
        template = self._template(surfaces, rng) if kind is not Kind.TITLE else None
        if template is None:
            return Kind.TITLE, _pick_words(self._products[at].title, rng)
        values = [Value(rng.choice(surfaces[of]), of) for of in template]
        if kind is Kind.BROADER and (broader := self._broaden(values, rng)) is not None:
            return kind, _put(broader)
        return Kind.TEMPLATE, _put([_shorten(value, rng) for value in values])

    def _template(self, surfaces: Surfaces, rng: random.Random) -> Template | None:
        types = frozenset(surfaces)
        if types not in self._fitting:
            kept = [t for t in self._templates if set(t) <= types]
            self._fitting[types] = kept, [self._templates[t] for t in kept]
        templates, counts = self._fitting[types]
        return rng.choices(templates, counts)[0] if templates else None

    def _broaden(self, values: Sequence[Value], rng: random.Random) -> list[Value] | None:
        """The values, one of them replaced by a broader one; None when none has any."""
        options = [self._generaliser.find_broader(value.text, value.type) for value in values]
        places = [at for at, found in enumerate(options) if found]
        if not places:
            return None
        at = rng.choice(places)
        return [*values[:at], Value(rng.choice(options[at]), values[at].type), *values[at + 1 :]]

    def _tell(self, at: int, absent: Sequence[Value], rng: random.Random) -> list[str]:
        """A value that the title does not hold, with the product's type, else its brand, else a word of the title."""
        weights = [0.2 if v.type is AttributeType.TECHNICAL_SPECIFICATION else 1.0 for v in absent]
        value = rng.choices(absent, weights)[0]
        surfaces = self._surfaces[at]
        brands = [text for text in surfaces.get(AttributeType.BRAND, ()) if text.lower() != value.text]
        types = surfaces.get(AttributeType.PRODUCT_TYPE, ())
        if brands and (not types or value.type is AttributeType.PRODUCT_TYPE or rng.random() < 0.2):
            return [rng.choice(brands).lower(), value.text]
        if not types or value.type is AttributeType.PRODUCT_TYPE:
            return [value.text, *_pick_words(self._products[at].title, rng)[:1]]
        head = rng.choice(types).lower()
        head = rng.choice([head, *self._generaliser.find_broader(head, AttributeType.PRODUCT_TYPE)])
        if value.type in _LINKS and rng.random() < 0.3:
            return [head, _LINKS[value.type], value.text]
        return [head, value.text] if rng.random() < 0.3 else [value.text, head]


def _shorten(value: Value, rng: random.Random) -> Value:
    """The head of a long product type, every other time."""
    words = value.text.split()
    if value.type is AttributeType.PRODUCT_TYPE and len(words) > 2 and rng.random() < 0.5:
        return Value(" ".join(words[-2:]), value.type)
    return value


def _put(values: Sequence[Value]) -> list[str]:
    """The words of values in a row, four of each at most, none twice."""
    words: list[str] = []
    for value in values:
        words += [word for word in value.text.split()[:4] if word not in words]
    return words


def _pick_words(title: str, rng: random.Random) -> list[str]:
    """One to four words that stand near each other in the title."""
    words = _title_words(title)
    size = min(len(words), rng.choices((1, 2, 3, 4), (0.2, 0.4, 0.28, 0.12))[0])
    start = rng.randrange(len(words))
    near = words[max(0, start - 2) : start + 4]
    places = sorted(rng.sample(range(len(near)), min(size, len(near))))
    return [near[i] for i in places]


def _title_words(title: str) -> list[str]:
    stripped = (word.strip(",.;:()[]\"'®™*#") for word in title.split())
    return [w for w in stripped if any(c.isalnum() for c in w) and w.lower() not in STOPWORDS]


def _weigh(made: Sequence[SyntheticQuery], exponent: float, shift: float) -> list[SyntheticQuery]:
    """The distinct queries with their counts: a text's by its rank, shared among its products as they were made."""
    rows: dict[str, dict[int, SyntheticQuery]] = defaultdict(dict)
    times: Counter[tuple[str, int]] = Counter()
    for query in made:
        rows[query.text].setdefault(query.product, query)
        times[query.text, query.product] += 1
    popular = sorted(rows, key=lambda text: -sum(times[text, product] for product in rows[text]))
    found = []
    for text, total in zip(popular, zipf_counts(len(popular), exponent, shift).tolist(), strict=True):
        meant = sorted(rows[text], key=lambda product: -times[text, product])[:total]
        shares = _divide(total, [times[text, product] for product in meant])
        for product, n in zip(meant, shares, strict=True):
            query = rows[text][product]
            found.append(SyntheticQuery(text, product, query.kind, n, query.wears))
    return found


def _divide(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of `total` by weight, each at least 1; `total` is no less than their number.

    >>> _divide(10, [3, 1]), _divide(2, [5, 1])
    ([7, 3], [1, 1])
    """
    rest, weight = total - len(weights), sum(weights)
    bounds = np.rint(np.cumsum([0, *weights]) * rest / weight).astype(int)
    return [1 + int(n) for n in np.diff(bounds)]
