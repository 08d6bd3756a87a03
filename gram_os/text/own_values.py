"""A text's own values: what it says literally, before any model adds to it.

Without them the generator alone stays below BM25 (docs/log.md). A query's own values are mended against the
catalogue's words; a product's take in its attribute fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser, Token, fold

#: Types whose every word says something by itself; of the others only the whole value counts, since "laser" of a
#: toner's print technology would answer for laser printers.
_WORD_TYPES = frozenset(
    {
        AttributeType.BRAND,
        AttributeType.PRODUCT_TYPE,
        AttributeType.COLOUR,
        AttributeType.MATERIAL,
        AttributeType.SERIES,
    }
)

#: Words of a query that are mended; a longer text was not typed.
MAX_MENDED = 32
#: A product text is read up to here; what stands behind in a long description is rarely what it is searched by.
MAX_TEXT = 2000
# "Black,Grey" and "10,100,1000" are lists, "1,000 sheets" is not.
_ITEMS = re.compile(r",(?!(?<=\d,)\d{3}[ -]?[^\W\d])| / ")


def query_values(
    text: str, normaliser: Normaliser, dictionary: AttributeDictionary, vocabulary: Vocabulary
) -> list[str]:
    """The values that a query holds: words, measures, known phrases, and what its unknown words may stand for."""
    tokens = normaliser.tokens(text)
    words = [token.value for token in tokens]
    found = dict.fromkeys(words)
    for token in tokens:
        found.update(dict.fromkeys(token.parts))
    found.update(dict.fromkeys(_mended(text, tokens, vocabulary)))
    found.update(dict.fromkeys(dictionary.phrases(words)))
    found.update(dict.fromkeys(vocabulary.join(words)))
    return list(found)


def _mended(text: str, tokens: Sequence[Token], vocabulary: Vocabulary) -> Iterator[str]:
    """What the unknown words of a query stand for.

    A misspelt word is mended as it is written, since its stem is often further off ("bateri" from "battery" than
    "batery"); its stem is the second try, for plurals. Of 387 unknown misspellings that makes 363 right, not 284.
    """
    folded = fold(text)
    for token in tokens[:MAX_MENDED]:
        if token.value not in vocabulary.counts:
            yield from vocabulary.mend(folded[token.start : token.end]) or vocabulary.mend(token.value)


def field_values(
    product: Product, attributes: Mapping[str, AttributeType], normaliser: Normaliser
) -> list[tuple[str, AttributeType]]:
    """The values of a product's attribute fields with their types; a list field gives each of its items.

    Commas, other than that of "1,000 sheets", and slashes with spaces around them part the items of a text field.
    """
    found: dict[str, AttributeType] = {}
    for text, kind in field_texts(product, attributes):
        if value := normaliser.value(text):
            found.setdefault(value, kind)
    return list(found.items())


def field_texts(product: Product, attributes: Mapping[str, AttributeType]) -> Iterator[tuple[str, AttributeType]]:
    """The items of a product's attribute fields as they are written, with their types."""
    for name, kind in attributes.items():
        for item in _items(product.fields.get(name)):
            yield item, kind


def product_values(
    product: Product,
    attributes: Mapping[str, AttributeType],
    normaliser: Normaliser,
    dictionary: AttributeDictionary | None = None,
    texts: Sequence[str] = (),
) -> list[str]:
    """The values that a product holds.

    They are the words, measures and known phrases of its title and of the text fields `texts` (descriptions), and the
    values of its attribute fields.
    """
    found: dict[str, None] = {}
    for text in (product.title, *(product.fields.get(name) for name in texts)):
        if isinstance(text, str):
            tokens = normaliser.tokens(text[:MAX_TEXT])
            found.update(dict.fromkeys(token_values(tokens)))
            if dictionary is not None:
                found.update(dict.fromkeys(dictionary.phrases([token.value for token in tokens])))
    found.update(dict.fromkeys(attribute_values(field_values(product, attributes, normaliser), normaliser)))
    return list(found)


def token_values(tokens: Iterable[Token]) -> Iterator[str]:
    """Each token's value, then its parts; a value may come again."""
    for token in tokens:
        yield token.value
        yield from token.parts


def attribute_values(fields: Iterable[tuple[str, AttributeType]], normaliser: Normaliser) -> Iterator[str]:
    """What a product's `field_values` say: each value whole, and its words where its type's words say something alone."""
    for value, kind in fields:
        yield value
        if kind in _WORD_TYPES:
            yield from normaliser.values(value)


def _items(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return _ITEMS.split(value)
    if isinstance(value, list):
        return [part for item in value for part in _items(item)]
    return []
