"""What a catalogue's values generalise to, and what its products are without their titles saying so.

Both come from the catalogue alone: a shorter form of a value counts when the catalogue itself uses it, and a value is
knowledge about a product when a field or a description holds it and the title does not. Knows texts, no queries.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.normalise import Normaliser
from gram_os.train.mining.lexicon import Lexicon, match_values

Surfaces = Mapping[AttributeType, Sequence[str]]  # texts of a product by type, as they are written

LEAST = 3  # products that hold a value before the catalogue is said to use it
MAX_DESCRIPTION = 1000  # characters of a description; what stands behind is rarely about the product itself
#: Types whose values say what a product is. A technical specification may be anything ("M0"), so it counts when the
#: product's own field says it, and is rarely asked for; in a description it is not looked for.
_TELLING = frozenset(
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
#: Types of which a product has one: a description that names another brand or colour names that of other products.
_SINGLE = frozenset({AttributeType.BRAND, AttributeType.PRODUCT_TYPE, AttributeType.SERIES, AttributeType.COLOUR})


@dataclass(frozen=True, slots=True)
class Value:
    """A value as a catalogue writes it, lower case, and its type."""

    text: str
    type: AttributeType


class Generaliser:
    """Knows the shorter forms of values that the catalogue uses by themselves."""

    def __init__(self, surfaces: Sequence[Surfaces], *, least: int = LEAST):
        """Read all products' values."""
        self._known = {value.text for value, n in _count(surfaces).items() if n >= least}
        tails: dict[str, set[str]] = defaultdict(set)
        for row in surfaces:
            for text in row.get(AttributeType.PRODUCT_TYPE, ()):
                words = text.lower().split()
                for first in range(1, len(words)):
                    tails[" ".join(words[first:])].add(" ".join(words))
        # What two types end in is what both are: "cartridge" of toner cartridge and ink cartridge.
        self._shared = {tail for tail, types in tails.items() if len(types) > 1}

    def broader(self, text: str, kind: AttributeType) -> list[str]:
        """The shorter forms of a value, longest first; empty when the catalogue uses none.

        A product type gives the ends that it shares with another type (its head) or that are types by themselves. A model
        or any other value gives its beginnings and ends that are values by themselves ("galvanized steel": "steel").
        """
        words = text.lower().split()
        found: dict[str, None] = {}
        for size in range(len(words) - 1, 0, -1):
            tail, start = " ".join(words[-size:]), " ".join(words[:size])
            if tail in self._known or (kind is AttributeType.PRODUCT_TYPE and tail in self._shared):
                found[tail] = None
            if start in self._known and kind is not AttributeType.PRODUCT_TYPE:
                found[start] = None
        return [short for short in found if re.search(r"[^\W\d_]{2}", short)]


class Knowledge:
    """Finds what products are without their titles saying so."""

    def __init__(self, surfaces: Sequence[Surfaces], *, texts: Sequence[str] = (), least: int = LEAST):
        """Learn the values to look for in the fields `texts`: those that `least` products hold, of a telling type."""
        self._texts = texts
        self._normaliser = Normaliser()
        values = [v for v, n in _count(surfaces).most_common() if n >= least and v.type in _TELLING]
        words = ((self._normaliser.value(v.text).split(), v.type) for v in values)
        self._lexicon = Lexicon((found, kind) for found, kind in words if len(" ".join(found)) > 2)

    def absent(self, product: Product, surfaces: Surfaces) -> list[Value]:
        """Values of a product's fields and descriptions of which the title holds no word, by their stems.

        A description tells no second brand, product type, series or colour of a product.
        """
        said = set(self._normaliser.values(product.title))
        for word in list(said):
            said.update(word.split())
        found = dict.fromkeys(
            Value(text.lower(), kind) for kind, texts in surfaces.items() for text in texts if len(text) > 2
        )
        told = (v for v in self._told(product) if v.type not in _SINGLE or not surfaces.get(v.type))
        found.update(dict.fromkeys(told))
        return [value for value in found if _is_word(value.text) and not said & self._words(value.text)]

    def _words(self, text: str) -> set[str]:
        return {word for value in self._normaliser.values(text) for word in value.split()}

    def _told(self, product: Product) -> Iterator[Value]:
        """Known values in the product's descriptions, as they are written there."""
        for text in (product.fields.get(name) for name in self._texts):
            if not isinstance(text, str):
                continue
            written = re.findall(r"[^\W\d_]+", text[:MAX_DESCRIPTION].lower())
            for match in match_values([self._normaliser.stem(word) for word in written], self._lexicon):
                yield Value(" ".join(written[match.first : match.last]), match.type)


def _count(surfaces: Iterable[Surfaces]) -> Counter[Value]:
    """The number of products that hold each value."""
    return Counter(
        value
        for row in surfaces
        for value in dict.fromkeys(
            Value(" ".join(text.lower().split()), kind) for kind, texts in row.items() for text in texts
        )
    )


def _is_word(text: str) -> bool:
    """Whether a shopper would know a value by name: letters, and no more than three words."""
    return bool(re.search(r"[^\W\d_]{3}", text)) and len(re.findall(r"\w+", text)) <= 3
