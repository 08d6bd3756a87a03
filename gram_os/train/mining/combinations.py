"""The codes of several values that a catalogue's own attributes make (GRAM section 2)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from gram_os.text.attribute import AttributeType
from gram_os.text.code import MAX_ATTRIBUTES
from gram_os.text.dictionary import AttributeDictionary, Tokens

#: Types that a shopper names first: a combination starts from one of these.
_LEADING = (AttributeType.PRODUCT_TYPE, AttributeType.BRAND)
_ORDER = (
    AttributeType.PRODUCT_TYPE,
    AttributeType.BRAND,
    AttributeType.SERIES,
    AttributeType.COLOUR,
    AttributeType.MATERIAL,
    AttributeType.TECHNICAL_SPECIFICATION,
    AttributeType.FUNCTION,
    AttributeType.STYLE,
    AttributeType.AUDIENCE,
    AttributeType.SCENARIO,
    AttributeType.MODIFIER,
)
_PLACES = {kind: place for place, kind in enumerate(_ORDER)}

_LEAST_PRODUCTS = 2  # that share a combination before it is a code
_MOST_COMBINATIONS = 60_000


def combine_values(
    typed: Sequence[Mapping[str, AttributeType]], dictionary: AttributeDictionary
) -> tuple[list[list[Tokens]], list[Tokens]]:
    """The initial codes of each product, and all codes that may be generated.

    A product's attributes are combined at the three granularities. A combination becomes a code when two products share
    it. Every single value of the dictionary is a code. typed: each product's values with their types.
    """
    candidates = [_combinations(values, dictionary) for values in typed]
    shared = Counter(tokens for row in candidates for tokens in row)
    combined = [tokens for tokens, n in shared.most_common() if n >= _LEAST_PRODUCTS and len(tokens) > 1][
        :_MOST_COMBINATIONS
    ]
    alive = set(combined)
    initial = [[t for t in row if len(t) == 1 or t in alive] for row in candidates]
    return initial, [(token,) for token in range(len(dictionary.values))] + combined


def _combinations(values: Mapping[str, AttributeType], dictionary: AttributeDictionary) -> list[Tokens]:
    """Codes of one to three of a product's first values, of its first four, and of all; as ascending tokens.

    Tokens ascend as values do, so a sorted set of them is a code in canonical order.
    """
    known = [(_PLACES[kind], value) for value, kind in values.items() if kind in _PLACES]
    ranked = [value for _, value in sorted(known) if value in dictionary.tokens][:MAX_ATTRIBUTES]
    tokens = [dictionary.tokens[value] for value in ranked]
    leading = [values[value] in _LEADING for value in ranked]
    words = [frozenset(value.split()) for value in ranked]
    apart = [[not (a <= b or b <= a) for b in words] for a in words]
    found: list[Tokens] = [(token,) for token in tokens]
    places = range(len(ranked))
    for size in (2, 3):
        for chosen in itertools.combinations(places, size):
            if any(leading[i] for i in chosen) and _all_apart(chosen, apart):
                found.append(tuple(sorted(tokens[i] for i in chosen)))
    for size in sorted({4, len(ranked)} if len(ranked) > 3 else ()):
        if _all_apart(places[:size], apart):
            found.append(tuple(sorted(tokens[:size])))
    return found


def _all_apart(chosen: Sequence[int], apart: Sequence[Sequence[bool]]) -> bool:
    """Whether no value repeats what another says: "hp" beside "hp pavilion"."""
    return all(apart[i][j] for i, j in itertools.combinations(chosen, 2))
