"""What a catalogue says by itself: attribute fields, words, attribute values, initial codes (GRAM section 2).

Needs no clicks and no network. Works on products and tagged spans. Knows no model.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import FloatArray, Int32Array
from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.fold import written_words
from gram_os.text.letters import has_word, is_word
from gram_os.text.markup import strip_markup
from gram_os.text.measures import count_decimals
from gram_os.text.normalise import Normaliser, Token, fold
from gram_os.text.own_values import MAX_TEXT, attribute_values, field_texts, field_values, long_texts, token_values
from gram_os.text.tagger import Span
from gram_os.train.mining.combinations import combine_values
from gram_os.train.mining.fields import add_known_values, detect_attributes

_LEAST_COMMAS = 3
_MEASURE = re.compile(r"\d [^\W\d_]")


@dataclass(frozen=True)
class MinedCatalogue:
    """A catalogue with what serving needs of it (normaliser, dictionary, vocabulary, codes) and what training needs.

    own: float32 (products, columns), 1 where a product states a value. columns: value -> its column.
    known: int32 (columns,), the dictionary's token of a column, -1 where it has none.
    idf: float32 (columns,), ln(1 + (N - df + 0.5) / (df + 0.5)).
    spans: the typed values in each title, the tagger's and the catalogue's own.
    initial: the initial codes of each product, as tokens. codes: all codes that may be generated.
    """

    products: Sequence[Product]
    spans: Sequence[Sequence[Span]]
    attributes: Mapping[str, AttributeType]
    texts: Sequence[str]
    normaliser: Normaliser
    dictionary: AttributeDictionary
    vocabulary: Vocabulary
    own: sparse.csr_matrix
    columns: Mapping[str, int]
    known: Int32Array
    idf: FloatArray
    initial: Sequence[Sequence[tuple[int, ...]]]
    codes: Sequence[tuple[int, ...]]


def mine(
    products: Sequence[Product],
    spans: Sequence[Sequence[Span]],
    *,
    attributes: Mapping[str, AttributeType] | None = None,
    texts: Sequence[str] = (),
    most_values: int = 8000,
    least_products: int = 3,
) -> MinedCatalogue:
    """Read a catalogue: attribute fields, words, attribute values and initial codes.

    spans: the tagger's, one sequence a title. attributes: field -> type; detected when it is None. texts: further text
    fields; a field counts when 1 % of the products fill it. The dictionary has the `most_values` commonest values that
    at least `least_products` products hold.
    """
    attributes = detect_attributes(products) if attributes is None else attributes
    normaliser = Normaliser(
        readable_words(_texts(products, attributes)), decimal_comma=has_decimal_commas(_texts(products, attributes))
    )
    spans = add_known_values(products, spans, attributes, normaliser)
    readings = [_read(product, attributes, normaliser) for product in products]
    typed = [_typed_values(r, s, normaliser) for r, s in zip(readings, spans, strict=True)]
    dictionary = _build_dictionary(readings, typed, most_values, least_products)
    texts = [name for name in texts if sum(any(long_texts(p, [name])) for p in products) >= 0.01 * len(products)]
    vocabulary = _count_words(products, readings, normaliser, texts)
    own, columns = _own_matrix(readings, dictionary)
    df = np.asarray(own.sum(0)).ravel()
    idf = np.log1p((len(products) - df + 0.5) / (df + 0.5)).astype(np.float32)
    known = np.array([dictionary.tokens.get(value, -1) for value in columns], dtype=np.int32)
    initial, codes = combine_values(typed, dictionary)
    return MinedCatalogue(
        products,
        spans,
        attributes,
        texts,
        normaliser,
        dictionary,
        vocabulary,
        own,
        columns,
        known,
        idf,
        initial,
        codes,
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A product, normalised once: normalising takes most of the time of mining.

    words: the title's words in order. title: its values with their parts. fields: the values of the attribute fields
    with their types. attributes: these values and their words.
    """

    words: Sequence[str]
    title: Sequence[str]
    fields: Sequence[tuple[str, AttributeType]]
    attributes: Sequence[str]


def title_values(product: Product, normaliser: Normaliser) -> list[str]:
    """Return the values of a product's title with their parts, without repeats."""
    return _token_values(_title_tokens(product, normaliser))


def is_dictionary_value(value: str) -> bool:
    """Return whether a value may be in the dictionary: a bare number says too little, and a sentence is no value."""
    return bool(has_word(value) or _MEASURE.search(value)) and len(value) <= 40 and value.count(" ") < 4


def _title_tokens(product: Product, normaliser: Normaliser) -> list[Token]:
    return normaliser.tokens(strip_markup(product.title)[:MAX_TEXT])


def _token_values(tokens: Iterable[Token]) -> list[str]:
    return list(dict.fromkeys(token_values(tokens)))


def _read(product: Product, attributes: Mapping[str, AttributeType], normaliser: Normaliser) -> _Reading:
    tokens = _title_tokens(product, normaliser)
    fields = field_values(product, attributes, normaliser)
    return _Reading(
        [token.value for token in tokens],
        _token_values(tokens),
        fields,
        list(dict.fromkeys(attribute_values(fields, normaliser))),
    )


def _own_matrix(
    readings: Sequence[_Reading], dictionary: AttributeDictionary
) -> tuple[sparse.csr_matrix, dict[str, int]]:
    """1 where a product states a value (`own_values.product_values`), and the place of each value's column."""
    rows = [dict.fromkeys((*r.title, *dictionary.phrases(r.words), *r.attributes)) for r in readings]
    columns = {value: at for at, value in enumerate(sorted(set().union(*rows)))}
    indices = np.fromiter((columns[value] for row in rows for value in row), np.int32)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    ones = np.ones(len(indices), np.float32)
    return sparse.csr_matrix((ones, indices, indptr), shape=(len(rows), len(columns))), columns


def _count_words(
    products: Sequence[Product], readings: Sequence[_Reading], normaliser: Normaliser, texts: Sequence[str]
) -> Vocabulary:
    """Count the products that hold each single word in title, fields or texts.

    A number or model number that one product alone holds is no word.
    """
    counts: Counter[str] = Counter()
    for product, reading in zip(products, readings, strict=True):
        held = dict.fromkeys(reading.title)
        for text in long_texts(product, texts):
            held.update(dict.fromkeys(token_values(normaliser.tokens(text))))
        held.update(dict.fromkeys(reading.attributes))
        counts.update(held.keys())
    return Vocabulary({value: n for value, n in counts.items() if " " not in value and (n > 1 or is_word(value))})


def readable_words(texts: Iterable[str]) -> dict[str, str]:
    """Stem -> the commonest of the words that share it, so that codes can be read.

    Words are in lower case and have the accents of the catalogue's commonest writing. A text with markup is read
    without it.
    """
    plain = Normaliser()
    counts: Counter[str] = Counter()
    for text, n in Counter(texts).items():
        for word in written_words(strip_markup(text)):
            if len(word) > 1:
                counts[word] += n
    surfaces: dict[str, dict[str, int]] = defaultdict(dict)
    for word, n in counts.items():
        folded = fold(word)
        if is_word(folded):
            surfaces[plain.stem(folded)][word] = n
    return {
        stem: best
        for stem, words in surfaces.items()
        if (best := min(words, key=lambda w: (-words[w], w))) != stem and plain.stem(fold(best)) == stem
    }


def has_decimal_commas(texts: Iterable[str]) -> bool:
    """Say whether a catalogue writes decimal commas: three numbers that only these explain, and more than points.

    Such a catalogue reads "1,500 kg" as one and a half kilograms. Every other one reads it as fifteen hundred.
    """
    found = [count_decimals(strip_markup(text)) for text in texts]
    commas, points = sum(n for n, _ in found), sum(n for _, n in found)
    return commas >= _LEAST_COMMAS and commas > points


def _texts(products: Sequence[Product], attributes: Mapping[str, AttributeType]) -> Iterator[str]:
    for product in products:
        yield product.title
        for text, _ in field_texts(product, attributes):
            yield text


def _typed_values(reading: _Reading, spans: Sequence[Span], normaliser: Normaliser) -> dict[str, AttributeType]:
    """The attribute values of a product: its fields', then the tagger's."""
    found = dict(reading.fields)
    for span in spans:
        value = normaliser.value(span.text)
        if value and "|" not in value:
            found.setdefault(value, span.type)
    return found


def _build_dictionary(
    readings: Sequence[_Reading], typed: Sequence[Mapping[str, AttributeType]], most: int, least: int
) -> AttributeDictionary:
    """The commonest words of titles, values of fields and tagged phrases that may be in the dictionary."""
    counts: Counter[str] = Counter()
    types: dict[str, Counter[AttributeType]] = defaultdict(Counter)
    for reading, row in zip(readings, typed, strict=True):
        for value, kind in row.items():
            types[value][kind] += 1
            for word in value.split():
                types[word][kind] += 0  # a word is of its phrase's type unless it is tagged by itself
        counts.update({*row, *reading.title, *reading.attributes})
    kept = [value for value, n in counts.items() if n >= least and is_dictionary_value(value)]
    # Equally common values are told apart by the alphabet: in a set's order they would differ from run to run.
    values = tuple(sorted(sorted(kept, key=lambda value: (-counts[value], value))[:most]))
    return AttributeDictionary(
        values,
        tuple(max(types[v], key=types[v].__getitem__) if types.get(v) else AttributeType.OTHER for v in values),
        tuple(counts[v] for v in values),
    )
