"""The codes of one text in two layers: what is true of it, and what the pair score adds up.

The layers stay apart. `codes` and `attributes` are facts, for people, facets and filters. `weights` may hold guesses
and is for the score alone. This module holds values; generator.py makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gram_os.text.attribute import AttributeType
from gram_os.text.code import Code


@dataclass(frozen=True, slots=True)
class ScoredCode:
    """A code of one text, with its probabilities and its weight.

    probabilities: P(value | text, side, earlier values) of each value of the code, the product over the value's tokens;
    None when the model does not know one of the values. own: whether the text itself states the code. weight: what the
    code counts on its side of the pair score (pair_weights.py); a query's includes the granularity's weight.

    >>> from gram_os import Code
    >>> scored = ScoredCode(Code.of(["toner", "black"]), (0.5, 0.25), own=False)
    >>> str(scored.code), scored.probability, scored.weight
    ('black | toner', 0.125, 1.0)
    """

    code: Code
    probabilities: tuple[float, ...] | None
    own: bool
    weight: float = 1.0

    @property
    def probability(self) -> float | None:
        """P(code | text, side) without the closing token."""
        if self.probabilities is None:
            return None
        product = 1.0
        for probability in self.probabilities:
            product *= probability
        return product


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


@dataclass(frozen=True, slots=True)
class CodedText:
    """The codes of one text.

    codes: at most `MAX_CODES` codes of 1 to 6 values, best first; all are true of the text. attributes: the typed
    values that the codes are made of, best first within a type; of a query also the product types that it may ask for,
    with their probabilities. weights: everything that the pair score adds up; some of it may be guesses.

    >>> import gram_os
    >>> query, = gram_os.load_generator().code_queries(["black toner for xerox"])
    >>> 'black | toner | xerox' in [str(scored.code) for scored in query.codes]
    True
    >>> [attribute.value for attribute in query.of_type(AttributeType.BRAND)]
    ['xerox']
    """

    codes: tuple[ScoredCode, ...] = ()
    attributes: tuple[TypedValue, ...] = ()
    weights: tuple[ScoredCode, ...] = ()

    def of_type(self, kind: AttributeType) -> Iterator[TypedValue]:
        """Yield the attributes of a type, best first."""
        return (attribute for attribute in self.attributes if attribute.type is kind)
