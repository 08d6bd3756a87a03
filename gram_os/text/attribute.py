"""The attribute types of a code, and the labels of the tagger.

The 16 types are those of the paper (arXiv 2504.01403, section 1). The tagger is trained on two public data sets, and
each has types of its own. QueryNER's 17 types for queries stay as they are, so that its figures compare. OA-Mine's
open list for titles is folded into the 16. Nothing here knows text or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class AttributeType(StrEnum):
    """What a value says about a product: the 16 types of the paper."""

    BRAND = "brand"
    PRODUCT_TYPE = "product_type"
    SERIES = "series"
    MODEL = "model"
    FUNCTION = "function"
    MATERIAL = "material"
    STYLE = "style"
    COLOUR = "colour"
    SALES_SPECIFICATION = "sales_specification"
    TECHNICAL_SPECIFICATION = "technical_specification"
    APPLICABLE_TIME = "applicable_time"
    AUDIENCE = "audience"
    SCENARIO = "scenario"
    MODIFIER = "modifier"
    MARKETING_TERM = "marketing_term"
    OTHER = "other"


class Side(StrEnum):
    """Which text is coded: a shopper's query, or a product's title."""

    QUERY = "query"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class TypedValue:
    """An attribute value of one text, with the type that it has there.

    probability: P(value | text), None when no model says it. own: whether the text or a field of the product states the
    value.

    >>> str(TypedValue("toner", AttributeType.PRODUCT_TYPE, 0.5, own=True).type)
    'product_type'
    """

    value: str
    type: AttributeType
    probability: float | None
    own: bool


_T = AttributeType

#: QueryNER's types in their fixed order, each with its type among the 16. `content` is what a product shows or is
#: about.
QUERYNER_TYPES: Final[Mapping[str, AttributeType]] = MappingProxyType(
    {
        "core_product_type": _T.PRODUCT_TYPE,
        "modifier": _T.MODIFIER,
        "creator": _T.BRAND,
        "department": _T.AUDIENCE,
        "product_name": _T.SERIES,
        "content": _T.STYLE,
        "UoM": _T.TECHNICAL_SPECIFICATION,
        "color": _T.COLOUR,
        "shape": _T.STYLE,
        "material": _T.MATERIAL,
        "occasion": _T.SCENARIO,
        "condition": _T.MODIFIER,
        "quantity": _T.SALES_SPECIFICATION,
        "price": _T.MARKETING_TERM,
        "origin": _T.OTHER,
        "time": _T.APPLICABLE_TIME,
        "product_number": _T.MODEL,
    }
)

#: OA-Mine's types (ten categories of Amazon titles), each with its type among the 16.
OA_MINE_TYPES: Final[Mapping[str, AttributeType]] = MappingProxyType(
    {
        "Administration type": _T.FUNCTION,
        "Age": _T.AUDIENCE,
        "Age range": _T.AUDIENCE,
        "Animal": _T.AUDIENCE,
        "Benefit": _T.FUNCTION,
        "Brand": _T.BRAND,
        "Caffeine content": _T.TECHNICAL_SPECIFICATION,
        "Cap": _T.TECHNICAL_SPECIFICATION,
        "Cereal type": _T.PRODUCT_TYPE,
        "Certified grade": _T.TECHNICAL_SPECIFICATION,
        "Closure": _T.TECHNICAL_SPECIFICATION,
        "Closure type": _T.TECHNICAL_SPECIFICATION,
        "Color": _T.COLOUR,
        "Container": _T.SALES_SPECIFICATION,
        "Container type": _T.SALES_SPECIFICATION,
        "Country": _T.OTHER,
        "Diet": _T.MODIFIER,
        "Dosage": _T.TECHNICAL_SPECIFICATION,
        "Firmness": _T.TECHNICAL_SPECIFICATION,
        "Flavor": _T.STYLE,
        "Gender": _T.AUDIENCE,
        "Hair type": _T.AUDIENCE,
        "Health benefit": _T.FUNCTION,
        "Item form": _T.PRODUCT_TYPE,
        "Layer": _T.TECHNICAL_SPECIFICATION,
        "Load size": _T.SALES_SPECIFICATION,
        "Machine type": _T.TECHNICAL_SPECIFICATION,
        "Mask type": _T.PRODUCT_TYPE,
        "Material": _T.MATERIAL,
        "Model name": _T.MODEL,
        "Net content": _T.SALES_SPECIFICATION,
        "Operation mode": _T.FUNCTION,
        "Pack size": _T.SALES_SPECIFICATION,
        "Package type": _T.SALES_SPECIFICATION,
        "Power source": _T.TECHNICAL_SPECIFICATION,
        "Protection level": _T.TECHNICAL_SPECIFICATION,
        "Reusability": _T.MODIFIER,
        "Roast type": _T.STYLE,
        "Scent": _T.STYLE,
        "Shoe type": _T.PRODUCT_TYPE,
        "Size": _T.TECHNICAL_SPECIFICATION,
        "Skin type": _T.AUDIENCE,
        "Specialty": _T.MODIFIER,
        "Specific uses": _T.SCENARIO,
        "Sport": _T.SCENARIO,
        "Sub brand": _T.SERIES,
        "Supplement type": _T.PRODUCT_TYPE,
        "Supply size": _T.SALES_SPECIFICATION,
        "Tea variety": _T.PRODUCT_TYPE,
        "Volume": _T.SALES_SPECIFICATION,
        "Waterproof": _T.FUNCTION,
    }
)

#: The 16 types in the order of the title side's labels.
_GRAM_TYPES: Final[Mapping[str, AttributeType]] = MappingProxyType({t.value: t for t in AttributeType})

#: The types in each side's half of the tag head, in the order of its columns.
SIDE_TYPES: Final[Mapping[Side, Mapping[str, AttributeType]]] = MappingProxyType(
    {Side.QUERY: QUERYNER_TYPES, Side.TITLE: _GRAM_TYPES}
)


def bio_labels(types: Mapping[str, AttributeType]) -> tuple[str, ...]:
    """Return `O`, then `B-x` and `I-x` for each type: label 0 is outside, odd labels begin, even ones continue.

    >>> bio_labels({"color": AttributeType.COLOUR})
    ('O', 'B-color', 'I-color')
    """
    return ("O", *(f"{mark}-{name}" for name in types for mark in "BI"))


#: The BIO labels of each side.
SIDE_LABELS: Final[Mapping[Side, tuple[str, ...]]] = MappingProxyType(
    {side: bio_labels(types) for side, types in SIDE_TYPES.items()}
)

#: All columns of the tag head: the query side's labels, then the title side's.
HEAD_WIDTH: Final[int] = sum(len(labels) for labels in SIDE_LABELS.values())


def head_columns(side: Side) -> slice:
    """Return the columns of the tag head that belong to a side.

    >>> head_columns(Side.QUERY), head_columns(Side.TITLE), HEAD_WIDTH
    (slice(0, 35, None), slice(35, 68, None), 68)
    """
    first = len(SIDE_LABELS[Side.QUERY])
    return slice(0, first) if side == Side.QUERY else slice(first, HEAD_WIDTH)
