"""Brands and series in the attribute dictionary: which value completes a brand, and which follows one.

A dictionary holds "hp", "hp laserjet" and "laserjet" as brands: the last is a series of the first. It holds "tripp"
and "tripp lite": the second is the brand, the first a part of its name. Knows the dictionary's counts and no texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary

#: Types of words that are a property behind a brand, and no series: "cat6", "black".
_PROPERTIES: Final = frozenset(
    {
        AttributeType.COLOUR,
        AttributeType.FUNCTION,
        AttributeType.MATERIAL,
        AttributeType.SALES_SPECIFICATION,
        AttributeType.SCENARIO,
        AttributeType.STYLE,
        AttributeType.TECHNICAL_SPECIFICATION,
    }
)
_NAMES: Final = frozenset({AttributeType.BRAND, AttributeType.SERIES, AttributeType.MODEL})
_ALWAYS: Final = 0.8  # share of a word's products that hold the longer value, before the word is a part of that name


@dataclass(frozen=True)
class Brands:
    """What a dictionary says about brands.

    complete: a part of a brand's name -> the whole name. series: the values that follow a brand's name, brand by brand.

    >>> B = AttributeType.BRAND
    >>> values = {"hp": 90, "hp laserjet": 20, "laserjet": 30, "lite": 40, "tripp": 40, "tripp lite": 40}
    >>> brands = Brands.of(AttributeDictionary(tuple(values), (B,) * 6, tuple(values.values())))
    >>> brands.complete["tripp"], brands.series["hp"], brands.split("hp laserjet")
    ('tripp lite', frozenset({'laserjet'}), ('hp', 'laserjet'))
    """

    complete: Mapping[str, str]
    series: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, dictionary: AttributeDictionary) -> Brands:
        """Read brands off a dictionary."""
        complete: dict[str, str] = {}
        series: dict[str, set[str]] = defaultdict(set)
        for first, rest, whole in _split_names(dictionary):
            if dictionary.counts[dictionary.tokens[whole]] >= _ALWAYS * dictionary.counts[dictionary.tokens[first]]:
                complete.setdefault(first, whole)
            elif dictionary.type_of(rest) not in _PROPERTIES:
                series[first].add(rest)
        return cls(complete, {brand: frozenset(values) for brand, values in series.items()})

    def split(self, value: str) -> tuple[str, str]:
        """Part a value into a brand and its series; the series is "" where the value is a brand alone."""
        brand, _, rest = value.partition(" ")
        while rest:
            if rest in self.series.get(brand, ()):
                return brand, rest
            word, _, rest = rest.partition(" ")
            brand = f"{brand} {word}"
        return self.complete.get(value, value), ""

    def is_series(self, value: str) -> bool:
        """Say whether a value is known behind some brand."""
        return any(value in values for values in self.series.values())


def _split_names(dictionary: AttributeDictionary) -> Iterator[tuple[str, str, str]]:
    """Yield each name of two words or more that begins with a brand: the brand, the rest, the whole."""
    for value, kind in zip(dictionary.values, dictionary.types, strict=True):
        words = value.split()
        if kind in _NAMES:
            for size in range(len(words) - 1, 0, -1):
                first, rest = " ".join(words[:size]), " ".join(words[size:])
                if dictionary.type_of(first) is AttributeType.BRAND and rest in dictionary.tokens:
                    yield first, rest, value
                    break
