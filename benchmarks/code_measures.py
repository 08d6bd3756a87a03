"""Measures of the codes and attributes of a catalogue: how many, of how many attributes, and whether they are true.

A value is true of a product here when its fields or its texts hold it, normalised. Reads no index and runs no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.measures import Measure
from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.code import Code
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import field_values

LEAST_PRODUCTS = 5  # with a value in a field before it counts as a brand or a colour of the catalogue
FACETS = 50  # most frequent values of a facet that are looked at
FACET_TYPES = (AttributeType.BRAND, AttributeType.COLOUR)
WRONG_GOALS = {AttributeType.BRAND: 0.01, AttributeType.COLOUR: 0.02}
FACET_GOAL, TYPE_GOAL = 0.97, 0.97
LENGTH_GOALS = {2: 0.97, 3: 0.60}
MOST_GOAL, MEAN_GOAL = 10, 4


@dataclass(frozen=True)
class CodedProduct:
    """A product with its codes and its attributes by type, best first."""

    product: Product
    codes: tuple[Code, ...]
    attributes: Mapping[str, Sequence[str]]

    @property
    def type(self) -> str | None:
        """What the product is: its first product type."""
        return next(iter(self.attributes.get(AttributeType.PRODUCT_TYPE.value, ())), None)

    @cached_property
    def values(self) -> frozenset[str]:
        """All values of its codes and attributes."""
        coded = [value for code in self.codes for value in code.values]
        return frozenset([*coded, *(value for values in self.attributes.values() for value in values)])


class Facts:
    """What the fields and the texts of one catalogue hold.

    attributes: the fields that state values, with the types of these.
    """

    def __init__(self, normaliser: Normaliser, attributes: Mapping[str, AttributeType]):
        self._normaliser, self._attributes = normaliser, attributes

    def stated(self, product: Product, kind: AttributeType) -> set[str]:
        """Return the values of one type that a product's fields state."""
        return {value for value, found in field_values(product, self._attributes, self._normaliser) if found is kind}

    def holds(self, product: Product, value: str) -> bool:
        """Say whether any field or text of a product holds a normalised value, as words that follow each other."""
        return any(
            f" {value} " in f" {self._normaliser.value(text)} " or value in self._normaliser.values(text)
            for text in _texts([product.title, product.fields])
        )


def _texts(value: object) -> Iterator[str]:
    """Yield all texts in a JSON value. The fields of codes are left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if not str(name).startswith("gram_"):
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def measure_codes(products: Sequence[CodedProduct], facts: Facts) -> list[Measure]:
    """Return the measures that need no labels. There must be at least one product."""
    counts = [len(one.codes) for one in products]
    longest = [max((len(code.values) for code in one.codes), default=0) for one in products]
    measures = [
        Measure("codes.most", max(counts), "codes", MOST_GOAL),
        Measure("codes.mean", sum(counts) / len(counts), "codes", MEAN_GOAL, at_least=True),
    ]
    for length, goal in LENGTH_GOALS.items():
        share = _share(size >= length for size in longest)
        measures.append(Measure(f"products.code_of_{length}_attributes", share, "ratio", goal, at_least=True))
    typed = _share(one.type is not None for one in products)
    measures.append(Measure("products.product_type", typed, "ratio", TYPE_GOAL, at_least=True))
    for kind in FACET_TYPES:
        measures.append(
            Measure(f"products.wrong_{kind.value}", measure_wrong(products, facts, kind), "ratio", WRONG_GOALS[kind])
        )
    for kind in FACET_TYPES:
        precision = measure_facets(products, facts, kind)
        measures.append(Measure(f"facets.{kind.value}.precision", precision, "ratio", FACET_GOAL, at_least=True))
    return measures


def measure_wrong(products: Sequence[CodedProduct], facts: Facts, kind: AttributeType) -> float:
    """Return the share of products with a brand (a colour) in codes or attributes that nothing of theirs holds.

    A brand is a value that fields of this type state in `LEAST_PRODUCTS` products.
    """
    stated = [facts.stated(one.product, kind) for one in products]
    counts = Counter(value for values in stated for value in values)
    known = {value for value, n in counts.items() if n >= LEAST_PRODUCTS}
    wrong = (
        any(not facts.holds(one.product, value) for value in (one.values & known) - own)
        for one, own in zip(products, stated, strict=True)
    )
    return _share(wrong)


def measure_facets(products: Sequence[CodedProduct], facts: Facts, kind: AttributeType) -> float:
    """Return the micro precision of a facet: of the products behind its values, those that hold the value."""
    counts = Counter(value for one in products for value in one.attributes.get(kind.value, ()))
    shown = {value for value, _ in counts.most_common(FACETS)}
    held = [
        facts.holds(one.product, value)
        for one in products
        for value in one.attributes.get(kind.value, ())
        if value in shown
    ]
    return _share(held) if held else 1.0


def _share(found: Iterable[bool]) -> float:
    rows = list(found)
    return sum(rows) / len(rows)
