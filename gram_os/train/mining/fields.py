"""The attribute fields of a catalogue: which they are, and where their values stand in titles."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.letters import has_word
from gram_os.text.markup import strip_markup
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
# Objects that hold any attribute, and so say nothing of its type; and a language behind the name ("colour.en").
_CONTAINERS = re.compile(
    r"^(?:(?:attr(?:ibute)?s?|spec(?:ification)?s?|propert(?:y|ies)|prop(?:s)?|details?|characteristics?|products?|items?"
    r"|variants?|options?|facets?|filters?|meta(?:data)?|info|data|fields|param(?:eter)?s?)\.)+|\.[a-z]{2}$"
)
_FIELD_PREFIX = re.compile(r"^(attr(ibute)?s?[_.])?([a-z]_)?")

_ARROW = re.compile(r"\s>\s")  # between the elements of a category's path
_LEAST_SHARE = 0.01  # of the products that fill a field, before it counts
# How often a field's values repeat, on average: less often where its name says what it holds. A marketplace has a brand
# for every second product.
_LEAST_REPEATS, _LEAST_NAMED_REPEATS = 3, 1.2
_LEAST_PRODUCTS = 3  # that have a value in a field before it is looked for in all titles


def detect_attributes(products: Sequence[Product]) -> dict[str, AttributeType]:
    """Say which fields hold attribute values, and of which type.

    Attribute fields hold short texts, lists of them, or paths of categories, that repeat and that at least 1 % of the
    products fill. A field whose name says what it holds ("brand") need not repeat as often as another one. Numbers,
    flags, dates and free text are no attributes. The type comes from the field's name.
    """
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    filled: Counter[str] = Counter()
    for product in products:
        strings: dict[str, list[str]] = defaultdict(list)
        for name, text in _field_strings(product.fields):
            strings[name] += _ARROW.split(text)
        for name, found_texts in strings.items():
            filled[name] += 1
            texts[name].update(found_texts)
    found: dict[str, AttributeType] = {}
    for name, values in texts.items():
        total = values.total()
        words = sum(len(text.split()) * n for text, n in values.items()) / max(total, 1)
        letters = sum(n for text, n in values.items() if has_word(text)) / max(total, 1)
        repeats = total / max(len(values), 1)
        kind = _type_of_field(name)
        least = _LEAST_REPEATS if kind is AttributeType.TECHNICAL_SPECIFICATION else _LEAST_NAMED_REPEATS
        if filled[name] >= _LEAST_SHARE * len(products) and words <= 4 and letters > 0.8 and repeats >= least:
            found[name] = kind
    return found


def find_number_categories(products: Sequence[Product]) -> list[str]:
    """Return the fields that hold categories by their names, and numbers or ids by their values."""
    filled: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for product in products:
        for name, value in product.fields.items():
            if isinstance(value, str | int | float) and _type_of_field(name) is AttributeType.PRODUCT_TYPE:
                filled[name] += 1
                words[name] += has_word(str(value))
    return [name for name, n in filled.items() if n >= _LEAST_SHARE * len(products) and words[name] <= 0.2 * n]


def _field_strings(fields: Mapping[str, object], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a product's fields, without markup, with their names in the mapping ("specs.colour")."""
    for name, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield path + name, strip_markup(item)
            elif isinstance(item, Mapping):
                yield from _field_strings(item, f"{path}{name}.")


def _type_of_field(name: str) -> AttributeType:
    """Read the type off a field's name. "specs.colour" and "brand.name" are read as "colour" and "brand_name"."""
    bare = _FIELD_PREFIX.sub("", _CONTAINERS.sub("", name.lower())).replace(".", "_")
    kind = next((t for pattern, t in _FIELD_TYPES if re.fullmatch(pattern, bare)), None)
    return kind or AttributeType.TECHNICAL_SPECIFICATION


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
    ranked = [pair for pair, n in counts.most_common() if n >= _LEAST_PRODUCTS and has_word(" ".join(pair[0]))]
    lexicon = Lexicon(ranked)
    merged = []
    for product, tagged in zip(products, spans, strict=True):
        places = split_words(product.title, Side.TITLE)
        matches = match_values([stem(product.title[start:end]) for start, end in places], lexicon)
        merged.append(merge_spans(tagged, locate_matches(product.title, places, matches)))
    return merged
