"""The threshold of the relevance filter: how likely a generated value must be before it is an attribute of a product.

Some products are kept out of the title lessons. The bundle codes their titles alone, and their fields say which of the
generated values are true (arXiv 2504.01403, section 4, asks a relevance model the same question).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from gram_os.catalogue import Product
from gram_os.model.bundle import Bundle, ValueThreshold
from gram_os.model.generator import Generator
from gram_os.reading.reader import UNTYPED
from gram_os.text.attribute import AttributeType
from gram_os.text.own_values import field_values, product_values

PRECISION: Final = 0.95  # of the values that pass
#: What a product is comes from its names and the type heads.
_NEVER: Final = UNTYPED | {AttributeType.PRODUCT_TYPE}
_MOST_PRODUCTS: Final = 1000
_LEAST_VALUES: Final = 20  # that pass; fewer tell nothing


def calibrate(generator: Generator, products: Sequence[Product]) -> dict[AttributeType, ValueThreshold]:
    """Return the threshold of each type that has one.

    products: held out, with their fields. A generated value is right when a field or another text of the product holds
    it. Only types that the product's fields state are looked at: elsewhere nothing says what is wrong. A type has no
    threshold when no probability parts enough right values from wrong ones; then none of its values pass.
    """
    bundle = generator.bundle
    step = max(1.0, len(products) / _MOST_PRODUCTS)
    products = [products[int(at * step)] for at in range(int(len(products) / step))]
    answers: dict[AttributeType, list[tuple[float, bool]]] = defaultdict(list)
    titles = [Product(product.id, product.title, {}) for product in products]
    for product, coded in zip(products, generator.code_batch(titles), strict=True):
        stated = {kind for _, kind in field_values(product, bundle.manifest.attributes, bundle.normaliser)}
        true = _list_true(product, bundle)
        for scored in coded.weights:
            kind = bundle.dictionary.type_of(str(scored.code)) if len(scored.code.values) == 1 else None
            if kind in stated and kind not in _NEVER and not scored.own and scored.probability is not None:
                answers[kind].append((scored.probability, str(scored.code) in true))
    found = {kind: _find_threshold(answers[kind]) for kind in AttributeType if kind in answers}
    return {kind: threshold for kind, threshold in found.items() if threshold is not None}


def _list_true(product: Product, bundle: Bundle) -> set[str]:
    manifest = bundle.manifest
    return set(
        product_values(product, manifest.attributes, bundle.normaliser, bundle.dictionary, manifest.texts)
    ) | {value for value, _ in field_values(product, manifest.attributes, bundle.normaliser)}  # fmt: skip


def _find_threshold(answers: Iterable[tuple[float, bool]]) -> ValueThreshold | None:
    """Return the least probability whose values reach `PRECISION`, None without one. Equal ones pass together."""
    right = number = 0
    best = None
    for probability, group in groupby(sorted(answers, reverse=True), key=itemgetter(0)):
        marks = [is_right for _, is_right in group]
        right, number = right + sum(marks), number + len(marks)
        if number >= _LEAST_VALUES and right >= PRECISION * number:
            best = ValueThreshold(least=probability, precision=round(right / number, 4), values=number)
    return best
