"""What the titles of a catalogue say word by word: phrases without brands, tagged spans, spellings, acronyms.

Works on titles, fields and tagged spans. Knows no taxonomy and no model.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from typing import Final

from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType
from gram_os.text.heads import Phrase, split_phrases
from gram_os.text.letters import letter_words
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import field_texts, field_values
from gram_os.text.tagger import Span
from gram_os.train.mining.catalogue import MinedCatalogue

_BRAND_PLACE: Final = 24  # characters: a brand that starts behind them is another product's
_LEAST_EXPLAINED: Final = 3  # titles that explain an acronym
_ACRONYM: Final = re.compile(r"\(([A-Z]{2,5})s?\)")
_LEAST_HEAD: Final = 0.1  # P(head | last of a phrase) of a word that the tagger never marks
_TRUST = 0.5  # of the logarithm: the tagger misses many heads
_ONE_BRAND: Final = 0.9  # share of a word's products of one brand, from which the word is a name of this brand's


def list_title_phrases(mined: MinedCatalogue) -> list[list[Phrase]]:
    """Return the phrases of each title without the brand at its beginning.

    A brand in a field says where the brand ends. The tagger alone takes "HERMA Labels" for one.
    """
    fields = _brand_fields(mined)
    found = []
    for product, spans in zip(mined.products, mined.spans, strict=True):
        title = product.title
        stops = [len(text) for text, _ in field_texts(product, fields) if _begins_with(title, text)]
        if not stops:
            stops = [span.end for span in spans if span.type is AttributeType.BRAND and span.start < _BRAND_PLACE]
        stop = max(stops, default=0)
        rest = title[stop:] if stop < 2 * _BRAND_PLACE else title
        found.append(split_phrases(rest, mined.normaliser) or split_phrases(title, mined.normaliser))
    return found


def list_words(names: Iterable[str], normaliser: Normaliser) -> set[str]:
    """Return the words of some names, apart and joined: `heat`, `sink` and `heatsink` of "heat sink"."""
    return {word for name in names for word in (*name.split(), normaliser.value(name.replace(" ", "")))}


def mask_title(title: str, words: Set[str], normaliser: Normaliser) -> str:
    """Return a title without some normalised words."""
    return " ".join(written for written in title.split() if words.isdisjoint(normaliser.value(written).split()))


def weigh_heads(mined: MinedCatalogue, phrases: Sequence[Sequence[Phrase]], ends: Counter[str]) -> dict[str, float]:
    """Return what it costs a word to be the head of its phrase, in natural logarithms: -ln P(head | last of a phrase).

    ends: products in which the tagger marks a product type that ends in the word. "Box" ends many phrases ("processor
    2.2 GHz Box") and is rarely marked. What the tagger takes for part of a brand at the beginning does not count.
    """
    last: Counter[str] = Counter()
    for product, spans, row in zip(mined.products, mined.spans, phrases, strict=True):
        stop = max((span.end for span in spans if span.type is AttributeType.BRAND and not span.start), default=0)
        branded = set(mined.normaliser.value(product.title[:stop]).split())
        last.update({find_end(phrase.words) for phrase in row} - branded)
    return {word: -_TRUST * math.log(min(1.0, max(_LEAST_HEAD, ends[word] / n))) for word, n in last.items()}


def _begins_with(title: str, brand: str) -> bool:
    rest = title[len(brand) : len(brand) + 1]
    return title.lower().startswith(brand.lower()) and not rest.isalnum()


def list_brand_words(mined: MinedCatalogue, phrases: Sequence[Sequence[Phrase]]) -> set[str]:
    """Return the words whose products are nearly all of one brand: names of its series.

    Where no field says the brand, every word is such a word.
    """
    fields = _brand_fields(mined)
    brands: dict[str, Counter[str]] = defaultdict(Counter)
    for product, row in zip(mined.products, phrases, strict=True):
        brand = next((text.lower() for text, _ in field_texts(product, fields)), "")
        for word in {word for phrase in row for word in phrase.words}:
            brands[word][brand] += 1
    return {word for word, counts in brands.items() if max(counts.values()) >= _ONE_BRAND * counts.total()}


def find_end(words: Sequence[str]) -> str:
    """Return the last of some words, single letters left out: the "DVD" of "DVD+R".

    >>> find_end(("blank", "dvd", "r"))
    'dvd'
    """
    return next((word for word in reversed(words) if len(word) > 1), words[-1])


def _brand_fields(mined: MinedCatalogue) -> dict[str, AttributeType]:
    return {name: kind for name, kind in mined.attributes.items() if kind is AttributeType.BRAND}


def find_acronyms(products: Iterable[Product], normaliser: Normaliser) -> dict[str, str]:
    """Return normalised acronyms -> the normalised words that titles explain them by.

    "uninterruptible power supply (UPS)" explains UPS: the initials of the words before it are its letters
    (Schwartz and Hearst, PSB 2003, of one word a letter). Of several explanations the commonest counts.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for product in products:
        for match in _ACRONYM.finditer(product.title):
            words = letter_words(product.title[: match.start()].lower())[-len(match[1]) :]
            if "".join(word[0] for word in words) == match[1].lower():
                found[normaliser.value(match[1])][normaliser.value(" ".join(words))] += 1
    best = {acronym: counts.most_common(1)[0] for acronym, counts in found.items()}
    return {acronym: words for acronym, (words, n) in best.items() if n >= _LEAST_EXPLAINED}


def count_spellings(products: Iterable[Product], normaliser: Normaliser) -> dict[str, Counter[str]]:
    """Count the spellings of each normalised word in titles, in lower case."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    words = Counter(word for product in products for word in letter_words(product.title.lower()))
    for word, n in words.items():
        found[normaliser.stem(word)][word] += n
    return found


def count_spans(rows: Iterable[Sequence[Span]], normaliser: Normaliser) -> tuple[Counter[str], Counter[str]]:
    """Count the products in which the tagger marks a product type, by its phrase and by its last word."""
    spans: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for row in rows:
        found = {normaliser.value(span.text) for span in row if span.type is AttributeType.PRODUCT_TYPE}
        plain = {value for value in found if value and not any(map(str.isdigit, value))}
        spans.update(plain)
        ends.update({value.split()[-1] for value in plain})
    return spans, ends


def list_field_words(mined: MinedCatalogue, kind: AttributeType) -> set[str]:
    """Return the words that are a whole value of a field of one type, in at least three products."""
    fields = {name: found for name, found in mined.attributes.items() if found is kind}
    counts: Counter[str] = Counter()
    for product in mined.products:
        counts.update({value for value, _ in field_values(product, fields, mined.normaliser) if " " not in value})
    return {word for word, n in counts.items() if n > 2}
