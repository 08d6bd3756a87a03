"""A text's own values: those that it states itself, before a model adds to it.

Without them the generator alone ranks below BM25 (docs/log.md). A query's unknown words are mended with the catalogue's
words. A product's own values include those of its attribute fields.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from gram_os.catalogue import Product
from gram_os.fields import read_field
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.markup import strip_markup
from gram_os.text.measures import mask_decimals
from gram_os.text.normalise import Normaliser, Token

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
#: Characters of a product's text that are read, markup not counted; people rarely search by what follows in a long
#: description.
MAX_TEXT = 2000
# "Black,Grey" and "10,100,1000" are lists, "1,000 sheets" is not. "0,5 l" is none either: its comma is masked before.
# The commas of Arabic, Japanese and Chinese separate as well.
# An arrow parts the elements of a category's path.
_ITEMS = re.compile(r",(?!(?<=\d,)\d{3}[ -]?[^\W\d])|[،、，]| / |\s>\s")
_MASK = "\ue000"  # of Unicode's private use: no text has it


def query_values(
    text: str,
    normaliser: Normaliser,
    dictionary: AttributeDictionary,
    vocabulary: Vocabulary,
    known: Container[str] = (),
) -> list[str]:
    """Return a query's own values: words, measures, known phrases, and what its unknown words may stand for.

    known: words that are none of the catalogue's and stand for nothing else: "mice" is no misspelt "micr".
    """
    tokens = normaliser.tokens(text)
    words = [token.value for token in tokens]
    found = dict.fromkeys(words)
    for token in tokens:
        found.update(dict.fromkeys(token.parts))
    found.update(dict.fromkeys(_mended(normaliser.fold(text), tokens, vocabulary, known)))
    found.update(dict.fromkeys(dictionary.phrases(words)))
    found.update(dict.fromkeys(vocabulary.join(words)))
    return list(found)


def _mended(folded: str, tokens: Sequence[Token], vocabulary: Vocabulary, known: Container[str]) -> Iterator[str]:
    """Yield what the unknown words of a query may stand for.

    A misspelt word is mended as it is written, because its stem is often further away: "bateri" is further from
    "battery" than "batery". The stem is tried second, for plurals. This mends 363 of 387 unknown misspellings; the
    stem alone mends 284.
    """
    for token in tokens[:MAX_MENDED]:
        if token.value not in vocabulary.counts and token.value not in known:
            yield from vocabulary.mend(folded[token.start : token.end]) or vocabulary.mend(token.value)


def mend_words(text: str, normaliser: Normaliser, vocabulary: Vocabulary, known: Container[str] = ()) -> str:
    """Return a query with its unknown words replaced by what they may stand for.

    known: words that are none of the catalogue's and stay.
    """
    folded = normaliser.fold(text)
    parts, at = [], 0
    for token in normaliser.tokens(text)[:MAX_MENDED]:
        if token.value in vocabulary.counts or token.value in known:
            continue
        if mended := vocabulary.mend(folded[token.start : token.end]) or vocabulary.mend(token.value):
            parts += [folded[at : token.start], " ".join(mended)]
            at = token.end
    return "".join([*parts, folded[at:]])


def field_values(
    product: Product, attributes: Mapping[str, AttributeType], normaliser: Normaliser
) -> list[tuple[str, AttributeType]]:
    """Return the values of a product's attribute fields with their types. A list gives each of its items.

    Commas separate the items of a text, and slashes and arrows with spaces around them. The comma of "1,000 sheets"
    does not. Of a category's path ("Bags > Cases") each element is an item, the broadest comes first.
    """
    found: dict[str, AttributeType] = {}
    for text, kind in field_texts(product, attributes, decimal_comma=normaliser.decimal_comma):
        if value := normaliser.value(text):
            found.setdefault(value, kind)
    return list(found.items())


def field_texts(
    product: Product, attributes: Mapping[str, AttributeType], *, decimal_comma: bool = False
) -> Iterator[tuple[str, AttributeType]]:
    """Yield the items of a product's attribute fields as they are written, without markup, with their types.

    A field's name may lead into objects and lists of objects ("specs.colour"). decimal_comma: of the catalogue.
    """
    for name, kind in attributes.items():
        value = read_field(product.fields, name)
        if value is not None:
            for item in _items(value, decimal_comma):
                yield item, kind


def strip_title(product: Product) -> Product:
    """Return a product whose title holds no markup, the same one where it has none."""
    title = strip_markup(product.title)
    return product if title == product.title else replace(product, title=title)


def long_texts(product: Product, names: Iterable[str]) -> Iterator[str]:
    """Yield the texts of some fields (descriptions) without markup, each cut after `MAX_TEXT` characters."""
    for name in names:
        value = read_field(product.fields, name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield strip_markup(text)[:MAX_TEXT]


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
    for text in (strip_markup(product.title)[:MAX_TEXT], *long_texts(product, texts)):
        tokens = normaliser.tokens(text)
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


def _items(value: object, decimal_comma: bool) -> Iterable[str]:
    if isinstance(value, str):
        text = strip_markup(value)
        masked = mask_decimals(text, _MASK, decimal_comma=decimal_comma)
        items = _ITEMS.split(masked)
        return items if masked is text else [item.replace(_MASK, ",") for item in items]
    if isinstance(value, list):
        return [part for item in value for part in _items(item, decimal_comma)]
    return []
