"""Which fields of a catalogue say what its products are.

Works on fields and on a test of names. Knows no titles.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import field_values
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.mining.fields import find_number_categories

log = logging.getLogger(__name__)

_IDS: Final = "its values are numbers, ids or sentences, and no names of things"
_COMMON: Final = 0.9  # share of one value, above which a field says the same of nearly all products
_LONGEST: Final = 4  # words of a value that may name a type


def choose_fields(mined: MinedCatalogue, names_thing: Callable[[str], bool]) -> list[str]:
    """Return the category fields whose values name things. A warning names each of the others, and says why.

    Of a path the narrowest element counts.

    Values name things when half of them end in a head, or where the heads of the language are not known, when they are
    words. A value that nearly all products share says nothing.
    """
    chosen = []
    for name in find_number_categories(mined.products):
        if name not in mined.attributes:
            log.warning("field '%s' is not used as a category: %s", name, _IDS)
    for name in [name for name, kind in mined.attributes.items() if kind is AttributeType.PRODUCT_TYPE]:
        counts = Counter(value for p in mined.products for value in read_types(p, [name], mined.normaliser)[:1])
        if reason := _find_fault(counts, names_thing):
            log.warning("field '%s' is not used as a category: %s", name, reason)
        else:
            chosen.append(name)
    return chosen


def _find_fault(counts: Counter[str], names_thing: Callable[[str], bool]) -> str:
    """Say why the values of a field name no product types, "" where they do."""
    if not counts:
        return _IDS
    value, most = counts.most_common(1)[0]
    if most >= _COMMON * counts.total():
        return f"nearly all products have the value '{value}'"
    named = sum(n for value, n in counts.items() if names_thing(value))
    return "" if named >= 0.5 * counts.total() else f"its values, such as '{value}', name no product types"


def read_types(product: Product, fields: Iterable[str], normaliser: Normaliser) -> list[str]:
    """Return the values of some fields of a product that are words; of a path the narrowest comes first."""
    values = field_values(product, dict.fromkeys(fields, AttributeType.PRODUCT_TYPE), normaliser)
    return [value for value, _ in reversed(values) if not any(map(str.isdigit, value)) and value.count(" ") < _LONGEST]
