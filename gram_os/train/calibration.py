"""The threshold of the relevance filter: how likely a generated value must be before it is an attribute of a product.

Some products are kept out of the title lessons. The bundle codes their titles alone, and their fields say which of the
generated values are true (arXiv 2504.01403, section 4, asks a relevance model the same question).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from gram_os.catalogue import Product
from gram_os.model.bundle import Bundle, ValueThreshold
from gram_os.model.generator import Generator
from gram_os.text.attribute import AttributeType
from gram_os.text.own_values import field_values, product_values

PRECISION: Final = 0.95  # of the values that pass
_MOST_PRODUCTS: Final = 1000
_LEAST_VALUES: Final = 20  # that pass; fewer tell nothing


def calibrate(generator: Generator, products: Sequence[Product]) -> dict[AttributeType, ValueThreshold]:
    """Return the threshold of each type that has one.

    products: held out, with their fields. A generated value is right when a field or another text of the product holds
    it. Only types that the product's fields state are looked at: elsewhere nothing says what is wrong. A type has no
    threshold when no probability parts enough right values from wrong ones; then none of its values pass.
    """
    bundle = generator.bundle
    products = products[:: max(1, -(-len(products) // _MOST_PRODUCTS))]
    answers: dict[AttributeType, list[tuple[float, bool]]] = defaultdict(list)
    titles = [Product(product.id, product.title, {}) for product in products]
    for product, coded in zip(products, generator.code_batch(titles), strict=True):
        stated = {kind for _, kind in field_values(product, bundle.manifest.attributes, bundle.normaliser)}
        true = _list_true(product, bundle)
        for scored in coded.weights:
            kind = bundle.dictionary.type_of(str(scored.code)) if len(scored.code.values) == 1 else None
            if kind in stated and not scored.own and scored.probability is not None:
                answers[kind].append((scored.probability, str(scored.code) in true))
    found = {kind: _find_threshold(answers[kind]) for kind in AttributeType if kind in answers}
    return {kind: threshold for kind, threshold in found.items() if threshold is not None}


def _list_true(product: Product, bundle: Bundle) -> set[str]:
    manifest = bundle.manifest
    return set(
        product_values(product, manifest.attributes, bundle.normaliser, bundle.dictionary, manifest.texts)
    ) | {value for value, _ in field_values(product, manifest.attributes, bundle.normaliser)}  # fmt: skip


def _find_threshold(answers: Iterable[tuple[float, bool]]) -> ValueThreshold | None:
    """Return the least probability whose values reach `PRECISION`, None without one."""
    right, best = 0, None
    for number, (probability, is_right) in enumerate(sorted(answers, reverse=True), 1):
        right += is_right
        if number >= _LEAST_VALUES and right >= PRECISION * number:
            best = ValueThreshold(least=round(probability, 4), precision=round(right / number, 4), values=number)
    return best
