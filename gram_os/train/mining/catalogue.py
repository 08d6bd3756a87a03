"""What a catalogue knows by itself: attribute fields, words, attribute values, initial codes (GRAM section 2).

No clicks and no network are needed. Works on products and tagged spans; knows no model.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import FloatArray, Int32Array
from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.code import MAX_ATTRIBUTES
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser, fold
from gram_os.text.own_values import MAX_TEXT, attribute_values, field_texts, field_values, token_values
from gram_os.text.tagger import Span, split_words
from gram_os.train.mining.lexicon import Lexicon, locate_matches, match_values, merge_spans

# How shops name their fields, and what stands in them; matched against the whole name, prefixes such as "attr_t_" cut off.
# A "processor_manufacturer" is no brand of a notebook, nor a "bus_type" its product type: those are specifications.
_FIELD_TYPES: Sequence[tuple[str, AttributeType]] = (
    (r"brand(_name)?|supplier|manufacturer|vendor|maker|producer", AttributeType.BRAND),
    (r"(product_?)?(type|category|class)|categor(y|ies)|department", AttributeType.PRODUCT_TYPE),
    (r"(.*_)?colou?r(s|ation)?(_name)?", AttributeType.COLOUR),
    (r"(.*_)?(materials?|fabric|finish)", AttributeType.MATERIAL),
    (r"(product_)?(series|family|collection|line)", AttributeType.SERIES),
    (r"(.*_)?(style|shape|form_factor|design|pattern)", AttributeType.STYLE),
    (r"((recommended|target)_)?(gender|age|age_group|audience)", AttributeType.AUDIENCE),
    (r"season|year|(.*_)?period", AttributeType.APPLICABLE_TIME),
    (r"(.*_)?(room|occasion|usage|purpose|compatibility)|suitable_for", AttributeType.SCENARIO),
    (r"(.*_)?(functions?|features?|technology)", AttributeType.FUNCTION),
    (r"(.*_)?(package_type|pack|quantity|count)", AttributeType.SALES_SPECIFICATION),
)
_FIELD_PREFIX = re.compile(r"^(attr(ibute)?s?[_.])?([a-z]_)?")
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


@dataclass(frozen=True)
class Mined:
    """A catalogue, read: what serving needs of it (normaliser, dictionary, vocabulary, codes) and what training needs.

    own: bool (products, columns), the products' own values, names in `columns`;
    known: int32 (columns,), the dictionary token of a column, -1 where it has none;
    idf: float32 (columns,), ln(1 + (N - df + 0.5) / (df + 0.5));
    spans: the typed values of each title, the tagger's and the catalogue's own;
    initial: the initial codes of each product, as tokens; codes: all codes that may be generated.
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
) -> Mined:
    """Read a catalogue: attribute fields, words, attribute values and initial codes.

    The `most_values` commonest values that at least `least_products` products hold make the dictionary; attribute fields
    are detected when they are not given; `texts` are further text fields, of which those count that 1 % of the products
    fill; `spans` are the tagger's, one sequence a title.
    """
    attributes = detect_attributes(products) if attributes is None else attributes
    normaliser = Normaliser(readable_words(_texts(products, attributes)))
    spans = add_known_values(products, spans, attributes, normaliser)
    readings = [_read(product, attributes, normaliser) for product in products]
    typed = [_typed_values(r, s, normaliser) for r, s in zip(readings, spans, strict=True)]
    dictionary = _build_dictionary(readings, typed, most_values, least_products)
    texts = [name for name in texts if sum(bool(p.fields.get(name)) for p in products) >= 0.01 * len(products)]
    vocabulary = _count_words(products, readings, normaliser, texts)
    own, columns = _own_matrix(readings, dictionary)
    df = np.asarray(own.sum(0)).ravel()
    idf = np.log1p((len(products) - df + 0.5) / (df + 0.5)).astype(np.float32)
    known = np.array([dictionary.tokens.get(value, -1) for value in columns], dtype=np.int32)
    initial, codes = _initial_codes(typed, dictionary)
    return Mined(
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
    """A product, normalised once, since that is what mining spends its time on.

    words: the title's, in order; title: its values with their parts; fields: the values of its attribute fields;
    attributes: those with their words.
    """

    words: Sequence[str]
    title: Sequence[str]
    fields: Sequence[tuple[str, AttributeType]]
    attributes: Sequence[str]


def _read(product: Product, attributes: Mapping[str, AttributeType], normaliser: Normaliser) -> _Reading:
    tokens = normaliser.tokens(product.title[:MAX_TEXT])
    fields = field_values(product, attributes, normaliser)
    return _Reading(
        [token.value for token in tokens],
        list(dict.fromkeys(token_values(tokens))),
        fields,
        list(dict.fromkeys(attribute_values(fields, normaliser))),
    )


def _own_matrix(
    readings: Sequence[_Reading], dictionary: AttributeDictionary
) -> tuple[sparse.csr_matrix, dict[str, int]]:
    """The products' own values (`own_values.product_values`), 1 where a product holds a value, and the columns' values."""
    rows = [dict.fromkeys((*r.title, *dictionary.phrases(r.words), *r.attributes)) for r in readings]
    columns = {value: at for at, value in enumerate(sorted(set().union(*rows)))}
    indices = np.fromiter((columns[value] for row in rows for value in row), np.int32)
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    ones = np.ones(len(indices), np.float32)
    return sparse.csr_matrix((ones, indices, indptr), shape=(len(rows), len(columns))), columns


def _count_words(
    products: Sequence[Product], readings: Sequence[_Reading], normaliser: Normaliser, texts: Sequence[str]
) -> Vocabulary:
    """Count the products that hold each single word, in titles, fields and texts; codes of one product are no words."""
    counts: Counter[str] = Counter()
    for product, reading in zip(products, readings, strict=True):
        held = dict.fromkeys(reading.title)
        for text in (product.fields.get(name) for name in texts):
            if isinstance(text, str):
                held.update(dict.fromkeys(token_values(normaliser.tokens(text[:MAX_TEXT]))))
        held.update(dict.fromkeys(reading.attributes))
        counts.update(held.keys())
    return Vocabulary({value: n for value, n in counts.items() if " " not in value and (n > 1 or value.isalpha())})


def detect_attributes(products: Sequence[Product]) -> dict[str, AttributeType]:
    """Say which fields hold attribute values.

    They are short texts, or lists of them, that at least 1 % of the products fill and that repeat; numbers, flags, dates
    and free text are not. The type comes from the field's name.
    """
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    filled: Counter[str] = Counter()
    for product in products:
        for name, value in product.fields.items():
            items = value if isinstance(value, list) else [value]
            strings = [item for item in items if isinstance(item, str)]
            filled[name] += bool(strings)
            texts[name].update(strings)
    found: dict[str, AttributeType] = {}
    for name, values in texts.items():
        total = values.total()
        words = sum(len(text.split()) * n for text, n in values.items()) / max(total, 1)
        letters = sum(n for text, n in values.items() if re.search("[a-zA-Z]{2}", text)) / max(total, 1)
        repeats = total / max(len(values), 1)
        if filled[name] >= 0.01 * len(products) and words <= 4 and letters > 0.8 and repeats >= 3:
            bare = _FIELD_PREFIX.sub("", name.lower())
            kind = next((t for pattern, t in _FIELD_TYPES if re.fullmatch(pattern, bare)), None)
            found[name] = kind or AttributeType.TECHNICAL_SPECIFICATION
    return found


def add_known_values(
    products: Sequence[Product],
    spans: Sequence[Sequence[Span]],
    attributes: Mapping[str, AttributeType],
    normaliser: Normaliser,
    *,
    least: int = 3,
) -> list[list[Span]]:
    """Find the values of the catalogue's own fields in the titles, and put them beside the tagger's spans.

    A value counts when at least `least` products have it in a field: a shop that names a brand in one product's field
    tells it for all titles.
    """
    # What a field of no known kind holds may be anything in a title.
    told = {name: k for name, k in attributes.items() if k is not AttributeType.TECHNICAL_SPECIFICATION}
    written = Counter(pair for product in products for pair in field_texts(product, told))
    stem = cache(lambda word: normaliser.stem(fold(word)))
    counts: Counter[tuple[tuple[str, ...], AttributeType]] = Counter()
    for (text, kind), n in written.items():
        counts[tuple(stem(text[slice(*place)]) for place in split_words(text, Side.TITLE)), kind] += n
    ranked = [pair for pair, n in counts.most_common() if n >= least and re.search("[a-z]{2}", " ".join(pair[0]))]
    lexicon = Lexicon(ranked)
    merged = []
    for product, tagged in zip(products, spans, strict=True):
        places = split_words(product.title, Side.TITLE)
        matches = match_values([stem(product.title[start:end]) for start, end in places], lexicon)
        merged.append(merge_spans(tagged, locate_matches(product.title, places, matches)))
    return merged


def readable_words(texts: Iterable[str]) -> dict[str, str]:
    """Stem -> the commonest of the words that share it, so that codes can be read."""
    plain = Normaliser()
    counts: Counter[str] = Counter()
    for text, n in Counter(texts).items():
        for word in re.findall(r"[^\W\d_]{2,}", fold(text)):
            counts[word] += n
    surfaces: dict[str, dict[str, int]] = defaultdict(dict)
    for word, n in counts.items():
        surfaces[plain.stem(word)][word] = n
    return {
        stem: best
        for stem, words in surfaces.items()
        if (best := min(words, key=lambda w: (-words[w], w))) != stem and plain.stem(best) == stem
    }


def _texts(products: Sequence[Product], attributes: Mapping[str, AttributeType]) -> Iterator[str]:
    for product in products:
        yield product.title
        for name in attributes:
            yield str(product.fields.get(name, ""))


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
    """Words of the titles, values of the fields and tagged phrases, the commonest first; bare numbers say too little."""
    counts: Counter[str] = Counter()
    types: dict[str, Counter[AttributeType]] = defaultdict(Counter)
    for reading, row in zip(readings, typed, strict=True):
        for value, kind in row.items():
            types[value][kind] += 1
            for word in value.split():
                types[word][kind] += 0  # a word is of its phrase's type unless it is tagged by itself
        counts.update({*row, *reading.title, *reading.attributes})
    kept = [
        value
        for value, n in counts.items()
        if n >= least and re.search(r"[a-z]{2}|\d [a-z]", value) and len(value) <= 40 and value.count(" ") < 4
    ]
    # Equally common values are told apart by the alphabet: in a set's order they would differ from run to run.
    values = tuple(sorted(sorted(kept, key=lambda value: (-counts[value], value))[:most]))
    return AttributeDictionary(
        values,
        tuple(max(types[v], key=types[v].__getitem__) if types.get(v) else AttributeType.OTHER for v in values),
        tuple(counts[v] for v in values),
    )


def _initial_codes(
    typed: Sequence[Mapping[str, AttributeType]],
    dictionary: AttributeDictionary,
    *,
    least: int = 2,
    most: int = 60_000,
) -> tuple[list[list[tuple[int, ...]]], list[tuple[int, ...]]]:
    """Combine each product's attributes at the three granularities; a combination lives when `least` products share it.

    Single values of the dictionary are codes all of them.
    """
    candidates = [_combinations(values, dictionary) for values in typed]
    shared = Counter(tokens for row in candidates for tokens in row)
    combined = [tokens for tokens, n in shared.most_common() if n >= least and len(tokens) > 1][:most]
    alive = set(combined)
    initial = [[t for t in row if len(t) == 1 or t in alive] for row in candidates]
    return initial, [(token,) for token in range(len(dictionary.values))] + combined


def _combinations(values: Mapping[str, AttributeType], dictionary: AttributeDictionary) -> list[tuple[int, ...]]:
    """Codes of one to three of a product's first values, of its first four, and of all; as ascending tokens.

    Tokens ascend as values do, so a sorted set of them is a code in canonical order.
    """
    known = [(_PLACES[kind], value) for value, kind in values.items() if kind in _PLACES]
    ranked = [value for _, value in sorted(known) if value in dictionary.tokens][:MAX_ATTRIBUTES]
    tokens = [dictionary.tokens[value] for value in ranked]
    leading = [values[value] in _LEADING for value in ranked]
    words = [frozenset(value.split()) for value in ranked]
    apart = [[not (a <= b or b <= a) for b in words] for a in words]
    found: list[tuple[int, ...]] = [(token,) for token in tokens]
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
