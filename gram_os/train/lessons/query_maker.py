"""Draws queries that describe products of a catalogue, one at a time. Knows texts and random numbers, no counts.

A query describes a product in one of four ways (`Kind`): by a *template*, the sequence of attribute types of a real
query (QueryNER's label sequences with their counts), filled with the product's values; by the same with one broader
value; by what its title does not say; by a few words of its title. Then typing edits change it (`typing_edits.py`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Final

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.text.attribute import AttributeType
from gram_os.text.normalise import STOPWORDS
from gram_os.train.lessons.typing_edits import TypingEdit, edit_words
from gram_os.train.mining.broader import Generaliser, ProductKnowledge, Surfaces, Value

Template = tuple[AttributeType, ...]


class Kind(StrEnum):
    """How a query describes its product."""

    TEMPLATE = "template"
    BROADER = "broader"
    KNOWLEDGE = "knowledge"
    TITLE = "title"


#: How often each kind is tried. Where a product has nothing for it, a template is filled, and failing that, words of
#: its title are taken.
KIND_SHARES: Final[Mapping[Kind, float]] = MappingProxyType(
    {Kind.TEMPLATE: 0.35, Kind.BROADER: 0.15, Kind.KNOWLEDGE: 0.2, Kind.TITLE: 0.3}
)
# The words between a product type and a value of this type: "table made of oak".
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
class DrawnQuery:
    """A query and the product (its place in the catalogue) that it describes, and the typing edits that changed it."""

    text: str
    product: int
    kind: Kind
    edits: tuple[TypingEdit, ...]


def read_templates() -> dict[Template, int]:
    """Read the type sequences of QueryNER's training queries with their counts (labels MIT, see NOTICE)."""
    text = resources.files("gram_os.train.lessons").joinpath("query_templates.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return {tuple(AttributeType(name) for name in types.split()): int(count) for count, types in rows}


class QueryMaker:
    """Draws queries of random products.

    surfaces: the values of each product by type, as the catalogue writes them. texts: further text fields of
    products, where values that the title does not say are searched for. shares: how often each kind is tried. edits:
    how often each typing edit is tried.
    """

    def __init__(
        self,
        products: Sequence[Product],
        surfaces: Sequence[Surfaces],
        texts: Sequence[str],
        shares: Mapping[Kind, float],
        edits: Mapping[TypingEdit, float],
    ):
        self._products, self._surfaces = products, surfaces
        self._kinds, self._shares, self._edits = list(shares), list(shares.values()), edits
        self._generaliser = Generaliser(surfaces)
        self._knowledge = ProductKnowledge(surfaces, texts=texts)
        self._templates = read_templates()
        self._fitting: dict[frozenset[AttributeType], tuple[list[Template], list[int]]] = {}
        self._absent: dict[int, list[Value]] = {}

    def draw(self, rng: random.Random) -> Iterator[DrawnQuery]:
        """Yield queries without end. Raises InputError when no title holds a word."""
        usable = [at for at, product in enumerate(self._products) if _title_words(product.title)]
        if not usable:
            raise InputError(
                f"none of the {len(self._products)} titles holds a word to make queries of; check --title-field"
            )
        while True:
            at = rng.choice(usable)
            kind, words = self._describe(at, rng.choices(self._kinds, self._shares)[0], rng)
            edited = edit_words(words, rng, self._edits)
            if edited.text:
                yield DrawnQuery(edited.text, at, kind, edited.edits)

    def _describe(self, at: int, kind: Kind, rng: random.Random) -> tuple[Kind, list[str]]:
        """Return the words of a query for the product at place `at`, and the kind that the query has in the end."""
        surfaces = self._surfaces[at]
        if kind is Kind.KNOWLEDGE:
            if at not in self._absent:
                self._absent[at] = self._knowledge.find_absent(self._products[at], surfaces)
            if self._absent[at]:
                return kind, self._add_context(at, self._absent[at], rng)
        template = self._draw_template(surfaces, rng) if kind is not Kind.TITLE else None
        if template is None:
            return Kind.TITLE, _pick_words(self._products[at].title, rng)
        values = [Value(rng.choice(surfaces[of]), of) for of in template]
        if kind is Kind.BROADER and (broader := self._broaden(values, rng)) is not None:
            return kind, _join_values(broader)
        return Kind.TEMPLATE, _join_values([_shorten(value, rng) for value in values])

    def _draw_template(self, surfaces: Surfaces, rng: random.Random) -> Template | None:
        """Draw a template that the product's types can fill, by the templates' counts; None where none fits."""
        types = frozenset(surfaces)
        if types not in self._fitting:
            kept = [t for t in self._templates if set(t) <= types]
            self._fitting[types] = kept, [self._templates[t] for t in kept]
        templates, counts = self._fitting[types]
        return rng.choices(templates, counts)[0] if templates else None

    def _broaden(self, values: Sequence[Value], rng: random.Random) -> list[Value] | None:
        """Replace one of the values by a broader one; None when no value has any."""
        options = [self._generaliser.find_broader(value.text, value.type) for value in values]
        places = [at for at, found in enumerate(options) if found]
        if not places:
            return None
        at = rng.choice(places)
        return [*values[:at], Value(rng.choice(options[at]), values[at].type), *values[at + 1 :]]

    def _add_context(self, at: int, absent: Sequence[Value], rng: random.Random) -> list[str]:
        """Draw a value that the title does not say, with the product's type, else brand, else a word of the title."""
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
    """Cut a product type of more than two words to its last two, every other time."""
    words = value.text.split()
    if value.type is AttributeType.PRODUCT_TYPE and len(words) > 2 and rng.random() < 0.5:
        return Value(" ".join(words[-2:]), value.type)
    return value


def _join_values(values: Sequence[Value]) -> list[str]:
    """Return the words of values one after the other: at most four words of each value, no word twice."""
    words: list[str] = []
    for value in values:
        words += [word for word in value.text.split()[:4] if word not in words]
    return words


def _pick_words(title: str, rng: random.Random) -> list[str]:
    """Draw one to four words that stand near each other in the title."""
    words = _title_words(title)
    size = min(len(words), rng.choices((1, 2, 3, 4), (0.2, 0.4, 0.28, 0.12))[0])
    start = rng.randrange(len(words))
    near = words[max(0, start - 2) : start + 4]
    places = sorted(rng.sample(range(len(near)), min(size, len(near))))
    return [near[i] for i in places]


def _title_words(title: str) -> list[str]:
    """Return the words of a title that a query may hold: no stop words, nothing without a letter or a digit."""
    stripped = (word.strip(",.;:()[]\"'®™*#") for word in title.split())
    return [w for w in stripped if any(c.isalnum() for c in w) and w.lower() not in STOPWORDS]
