"""Broader forms of a catalogue's values, and what is true of a product although its title does not say it.

Both come from the catalogue alone. A shorter form of a value counts when the catalogue itself uses it. A value is
knowledge about a product when a field or a description holds it and the title does not. Knows texts, no queries.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.letters import count_words, has_name, has_word, letter_words
from gram_os.text.normalise import Normaliser, fold
from gram_os.text.own_values import long_texts
from gram_os.train.mining.lexicon import Lexicon, match_values

Surfaces = Mapping[AttributeType, Sequence[str]]  # texts of a product by type, as the catalogue writes them

LEAST_PRODUCTS = 3  # products with a value before the catalogue counts as using it
_MAX_DESCRIPTION = 1000  # characters of a description that are read; the rest is rarely about the product itself
#: Types whose values say what a product is; only these are searched for in a description. A technical specification
#: may be anything ("M0"), so it counts only where the product's own field says it, and queries rarely use it.
_DESCRIBING = frozenset(
    {
        AttributeType.BRAND,
        AttributeType.PRODUCT_TYPE,
        AttributeType.SERIES,
        AttributeType.FUNCTION,
        AttributeType.MATERIAL,
        AttributeType.STYLE,
        AttributeType.COLOUR,
        AttributeType.AUDIENCE,
        AttributeType.SCENARIO,
    }
)
#: A product has one value of each of these types. A second brand or colour in its description belongs to other
#: products.
_SINGLE = frozenset({AttributeType.BRAND, AttributeType.PRODUCT_TYPE, AttributeType.SERIES, AttributeType.COLOUR})


@dataclass(frozen=True, slots=True)
class Value:
    """A value as a catalogue writes it, but in lower case, and its type."""

    text: str
    type: AttributeType


class Generaliser:
    """Finds the shorter forms of a value that the catalogue uses as values of their own."""

    def __init__(self, surfaces: Sequence[Surfaces]):
        """Read the values of all products."""
        self._known = {value.text for value, n in _count_products(surfaces).items() if n >= LEAST_PRODUCTS}
        tails: dict[str, set[str]] = defaultdict(set)
        for row in surfaces:
            for text in row.get(AttributeType.PRODUCT_TYPE, ()):
                words = text.lower().split()
                for first in range(1, len(words)):
                    tails[" ".join(words[first:])].add(" ".join(words))
        # Two product types with one end are both that thing: toner cartridge and ink cartridge are a "cartridge".
        self._shared = {tail for tail, types in tails.items() if len(types) > 1}

    def find_broader(self, text: str, kind: AttributeType) -> list[str]:
        """Return the shorter forms of a value, longest first; empty when the catalogue uses none.

        A product type gives its ends: those that another product type has too, and those that are values by
        themselves. A value of another type gives its beginnings and ends that are values by themselves ("galvanized
        steel": "steel").
        """
        words = text.lower().split()
        found: dict[str, None] = {}
        for size in range(len(words) - 1, 0, -1):
            tail, start = " ".join(words[-size:]), " ".join(words[:size])
            if tail in self._known or (kind is AttributeType.PRODUCT_TYPE and tail in self._shared):
                found[tail] = None
            if start in self._known and kind is not AttributeType.PRODUCT_TYPE:
                found[start] = None
        return [short for short in found if has_word(short)]


class ProductKnowledge:
    """Finds what is true of a product although its title does not say it."""

    def __init__(self, surfaces: Sequence[Surfaces], *, texts: Sequence[str]):
        """Collect the values to search for in the fields `texts`: those of at least `LEAST_PRODUCTS` products."""
        self._texts = texts
        self._normaliser = Normaliser()
        counts = _count_products(surfaces)
        values = [v for v, n in counts.most_common() if n >= LEAST_PRODUCTS and v.type in _DESCRIBING]
        words = ((self._normaliser.value(v.text).split(), v.type) for v in values)
        self._lexicon = Lexicon(
            (found, kind) for found, kind in words if len(" ".join(found)) > 2 or has_name(" ".join(found))
        )

    def find_absent(self, product: Product, surfaces: Surfaces) -> list[Value]:
        """Return the values of a product's fields and descriptions that share no word (stem) with its title.

        A description adds no second brand, product type, series or colour to a product.
        """
        title_words = set(self._normaliser.values(product.title))
        for value in list(title_words):
            title_words.update(value.split())
        found = dict.fromkeys(Value(text.lower(), kind) for kind, texts in surfaces.items() for text in texts)
        described = (v for v in self._described(product) if v.type not in _SINGLE or not surfaces.get(v.type))
        found.update(dict.fromkeys(described))
        return [value for value in found if _is_name(value.text) and not title_words & self._words(value.text)]

    def _words(self, text: str) -> set[str]:
        return {word for value in self._normaliser.values(text) for word in value.split()}

    def _described(self, product: Product) -> Iterator[Value]:
        """Yield the known values in the product's descriptions, as they are written there."""
        for text in long_texts(product, self._texts):
            written = letter_words(text[:_MAX_DESCRIPTION].lower())
            words = [self._normaliser.stem(word if word.isascii() else fold(word)) for word in written]
            for match in match_values(words, self._lexicon):
                yield Value(" ".join(written[match.first : match.last]), match.type)


def _count_products(surfaces: Iterable[Surfaces]) -> Counter[Value]:
    """Count the products with each value."""
    return Counter(
        value
        for row in surfaces
        for value in dict.fromkeys(
            Value(" ".join(text.lower().split()), kind) for kind, texts in row.items() for text in texts
        )
    )


def _is_name(text: str) -> bool:
    """Say whether a shopper could type a value: it holds a name (`has_name`) and at most three words."""
    return has_name(text) and count_words(text) <= 3
