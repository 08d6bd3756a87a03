"""From a text's own values to its typed attributes and its codes of several attributes.

Reads what a text states and what a product's fields state. It knows neither the model nor the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from gram_os.model.coded import CodedText, ScoredCode, TypedValue
from gram_os.text.attribute import AttributeType
from gram_os.text.code import MAX_CODES, Code
from gram_os.text.dictionary import AttributeDictionary

_T = AttributeType
#: Types that say too little, or too much at once, to be shown as an attribute.
UNTYPED = frozenset({_T.OTHER, _T.TECHNICAL_SPECIFICATION, _T.MODIFIER})
#: The types of a code, one shape after the other. A shape without product type serves a text that has none.
_SHAPES = ((_T.PRODUCT_TYPE,), (_T.BRAND, _T.PRODUCT_TYPE), (_T.COLOUR, _T.PRODUCT_TYPE),
           (_T.BRAND, _T.COLOUR, _T.PRODUCT_TYPE))  # fmt: skip
_SHAPES_WITHOUT_TYPE = ((_T.BRAND,), (_T.COLOUR,), (_T.BRAND, _T.COLOUR))
_BEST = 2  # values of a type that codes are made of


def read_codes(
    weights: Sequence[ScoredCode],
    *,
    dictionary: AttributeDictionary,
    stated: Mapping[str, AttributeType],
) -> CodedText:
    """Read a text's attributes and codes off its weighted codes, and return all three layers together.

    weights: the text's own values and the generated codes, as the pair score weighs them. stated: the values of the
    product's fields with the fields' types, empty for a query. An attribute is an own value that a field or the
    dictionary types. A longer value comes before the values that it contains, and a field's value before all others.
    """
    own = {scored.code.values[0]: scored for scored in weights if scored.own}
    attributes = [
        TypedValue(value, kind, scored.probability, own=True)
        for value, scored in own.items()
        if (kind := stated.get(value) or dictionary.type_of(value)) is not None and kind not in UNTYPED
    ]
    attributes.sort(key=lambda found: (found.value not in stated, -found.value.count(" ")))
    return CodedText(_combine(attributes), tuple(attributes), tuple(weights))


def _combine(attributes: Sequence[TypedValue]) -> tuple[ScoredCode, ...]:
    """Combine the best values of each type into codes, those of fewer attributes first."""
    best = {kind: [found for found in attributes if found.type is kind][:_BEST] for kind in AttributeType}
    shapes = _SHAPES if best[_T.PRODUCT_TYPE] else _SHAPES_WITHOUT_TYPE
    codes: dict[Code, ScoredCode] = {}
    for shape in shapes:
        for values in product(*(best[kind] for kind in shape)):
            scored = _score(values)
            codes.setdefault(scored.code, scored)
    return tuple(codes.values())[:MAX_CODES]


def _score(values: Sequence[TypedValue]) -> ScoredCode:
    """Make the code of attributes. It has no probabilities when one of its values has none."""
    known = {found.value: found.probability for found in values}
    code = Code.of(known)
    probabilities = tuple(p for value in code.values if (p := known[value]) is not None)
    return ScoredCode(
        code,
        probabilities if len(probabilities) == len(code.values) else None,
        own=all(found.own for found in values),
    )
