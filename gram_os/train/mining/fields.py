"""The attribute fields of a catalogue: which they are, and where their values stand in titles."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.normalise import Normaliser, fold
from gram_os.text.own_values import field_texts
from gram_os.text.tagger import Span, split_words
from gram_os.train.mining.lexicon import Lexicon, locate_matches, match_values, merge_spans

# How shops name their fields, and what stands in them. A pattern matches the whole name without prefixes like
# "attr_t_". A "processor_manufacturer" is no brand of a notebook, nor a "bus_type" its product type: those are
# specifications.
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

_LEAST_PRODUCTS = 3  # that have a value in a field before it is looked for in all titles


def detect_attributes(products: Sequence[Product]) -> dict[str, AttributeType]:
    """Say which fields hold attribute values, and of which type.

    Attribute fields hold short texts, or lists of them, that repeat and that at least 1 % of the products fill.
    Numbers, flags, dates and free text are no attributes. The type comes from the field's name.
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
) -> list[list[Span]]:
    """Find the values of the catalogue's own fields in the titles, and put them beside the tagger's spans.

    A value is looked for when at least three products have it in a field. A shop that names a brand in some products'
    fields names it for all titles.
    """
    # A value of a field of no known type may mean anything in a title.
    typed = {name: k for name, k in attributes.items() if k is not AttributeType.TECHNICAL_SPECIFICATION}
    written = Counter(pair for product in products for pair in field_texts(product, typed))
    stem = cache(lambda word: normaliser.stem(fold(word)))
    counts: Counter[tuple[tuple[str, ...], AttributeType]] = Counter()
    for (text, kind), n in written.items():
        counts[tuple(stem(text[slice(*place)]) for place in split_words(text, Side.TITLE)), kind] += n
    ranked = [
        pair for pair, n in counts.most_common() if n >= _LEAST_PRODUCTS and re.search("[a-z]{2}", " ".join(pair[0]))
    ]
    lexicon = Lexicon(ranked)
    merged = []
    for product, tagged in zip(products, spans, strict=True):
        places = split_words(product.title, Side.TITLE)
        matches = match_values([stem(product.title[start:end]) for start, end in places], lexicon)
        merged.append(merge_spans(tagged, locate_matches(product.title, places, matches)))
    return merged
