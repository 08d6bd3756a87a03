"""A text's own values: those that it states itself, before a model adds to it.

Without them the generator alone ranks below BM25 (docs/log.md). A query's unknown words are mended with the catalogue's
words. A product's own values include those of its attribute fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser, Token, fold

#: Types whose single words are own values too. Of other types only the whole value counts: "laser" of a toner's print
#: technology would find the toner for laser printers.
_WORD_TYPES = frozenset(
    {
        AttributeType.BRAND,
        AttributeType.PRODUCT_TYPE,
        AttributeType.COLOUR,
        AttributeType.MATERIAL,
        AttributeType.SERIES,
    }
)

#: Words of a query that are mended; nobody types more.
MAX_MENDED = 32
#: Characters of a product's text that are read; people rarely search by what follows in a long description.
MAX_TEXT = 2000
# "Black,Grey" and "10,100,1000" are lists, "1,000 sheets" is not.
_ITEMS = re.compile(r",(?!(?<=\d,)\d{3}[ -]?[^\W\d])| / ")


def query_values(
    text: str, normaliser: Normaliser, dictionary: AttributeDictionary, vocabulary: Vocabulary
) -> list[str]:
    """Return a query's own values: words, measures, known phrases, and what its unknown words may stand for."""
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
    """Yield what the unknown words of a query may stand for.

    A misspelt word is mended as it is written, because its stem is often further away: "bateri" is further from
    "battery" than "batery". The stem is tried second, for plurals. This mends 363 of 387 unknown misspellings; the
    stem alone mends 284.
    """
    folded = fold(text)
    for token in tokens[:MAX_MENDED]:
        if token.value not in vocabulary.counts:
            yield from vocabulary.mend(folded[token.start : token.end]) or vocabulary.mend(token.value)


def field_values(
    product: Product, attributes: Mapping[str, AttributeType], normaliser: Normaliser
) -> list[tuple[str, AttributeType]]:
    """Return the values of a product's attribute fields with their types. A list gives each of its items.

    Commas and slashes with spaces around them separate the items of a text. The comma of "1,000 sheets" does not.
    """
    found: dict[str, AttributeType] = {}
    for text, kind in field_texts(product, attributes):
        if value := normaliser.value(text):
            found.setdefault(value, kind)
    return list(found.items())


def field_texts(product: Product, attributes: Mapping[str, AttributeType]) -> Iterator[tuple[str, AttributeType]]:
    """Yield the items of a product's attribute fields as they are written, with their types."""
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
    """Return a product's own values.

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
    """Yield each token's value, then its parts. A value may repeat."""
    for token in tokens:
        yield token.value
        yield from token.parts


def attribute_values(fields: Iterable[tuple[str, AttributeType]], normaliser: Normaliser) -> Iterator[str]:
    """Yield each of a product's `field_values` whole. If its type is in `_WORD_TYPES`, yield its single words too."""
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
