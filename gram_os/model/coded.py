"""The codes of one text in two layers: what is true of it, and what the pair score adds up.

The layers stay apart. `codes` and `attributes` are facts, for people, facets and filters; gram_os/reading reads them.
`weights` may hold guesses and is for the score alone; generator.py makes them. This module puts both together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gram_os.arrays import FloatArray
from gram_os.catalogue import Product
from gram_os.reading.reader import Probabilities, TextReader
from gram_os.text.attribute import AttributeType, TypedValue
from gram_os.text.code import Code

_TYPE = f"{AttributeType.PRODUCT_TYPE.value}="


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

    @property
    def naming_words(self) -> frozenset[str]:
        """The words of a query that name the type that it asks for."""
        own = {str(scored.code) for scored in self.weights if scored.own}
        names = [kind.value.split() for kind in self.of_type(AttributeType.PRODUCT_TYPE) if kind.own]
        return frozenset(word for name in names if own.issuperset(name) for word in name)

    def of_type(self, kind: AttributeType) -> Iterator[TypedValue]:
        """Yield the attributes of a type, best first."""
        return (attribute for attribute in self.attributes if attribute.type is kind)


def name_type(value: str) -> Code:
    """Return a product type as a code of `weights`. It differs from the word: a text may mention what it is not.

    >>> str(name_type("notebook"))
    'product_type=notebook'
    """
    return Code((f"{_TYPE}{value}",))


def names_type(code: Code) -> bool:
    """Return whether a code of `weights` is a product type, as `name_type` writes it.

    >>> names_type(name_type("notebook")), names_type(Code(("notebook",)))
    (True, False)
    """
    return len(code.values) == 1 and code.values[0].startswith(_TYPE)


def read_codes(
    reader: TextReader,
    text: Product | str,
    weights: Sequence[ScoredCode],
    log_probs: FloatArray | None = None,
) -> CodedText:
    """Read the codes of a product or a query, and return both layers together.

    weights: the text's own values and the generated codes, as the pair score weighs them. log_probs: float32 (types,)
    over the vocabulary's product types, natural logarithms; None where no model says anything.
    """
    single = [scored for scored in weights if len(scored.code.values) == 1]
    own = {scored.code.values[0]: scored.probability for scored in single if scored.own}
    generated = {s.code.values[0]: s.probability for s in single if not s.own and s.probability is not None}
    said = Probabilities(own, generated, log_probs)
    reading = reader.read_product(text, said) if isinstance(text, Product) else reader.read_query(text, said)
    return CodedText(tuple(map(_score, reading.codes)), reading.attributes, tuple(weights))


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
